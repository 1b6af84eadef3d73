"""Tables of contents of real archives: read, written back byte for byte, and what damage to them comes to."""

import random
import subprocess
from dataclasses import replace

import pytest

from backstay.core.errors import BackstayError, Corrupt, DumpIncomplete, UnknownArchive
from backstay.core.model import Artifact, Backup, State, Target, TierKind
from backstay.tiers.postgres.directory import contents, toc
from backstay.tiers.postgres.directory.bytereader import ByteReader
from backstay.tiers.postgres.directory.custom import CustomArchive
from backstay.tiers.postgres.directory.toc import Entry, Section, Toc
from backstay.tiers.postgres.selection import Selection

FLIPS = 500
HEAD = 11  # magic, version, sizes, format: what comes before the compression


def pg_dump(server, dbname, *arguments):
    env = {"PGHOST": server.host, "PGPORT": str(server.port), "PGUSER": server.superuser,
           "PGPASSWORD": server.password, "PGDATABASE": dbname}  # fmt: skip
    done = subprocess.run([server.program("pg_dump"), *arguments], env=env, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=[15, 17, 18], ids=lambda major: f"pg{major}")
def museum(request, sample_database):
    server = request.getfixturevalue(f"postgres{request.param}")
    return server, sample_database(server, "museum")


@pytest.fixture
def small(postgres18, fresh_database, tmp_path):
    """The toc.dat and the custom archive of a small database with large objects."""
    fresh = fresh_database(postgres18)
    with fresh.connect_superuser() as session:
        session.execute("CREATE TABLE t (a integer PRIMARY KEY, b text); INSERT INTO t VALUES (1, 'x')")
        session.execute("SELECT lo_from_bytea(0, 'some bytes')")
    pg_dump(postgres18, fresh.name, "-Fd", "-Z0", "-f", str(tmp_path / "small"))
    custom = pg_dump(postgres18, fresh.name, "-Fc", "-Z0")
    return (tmp_path / "small" / "toc.dat").read_bytes(), custom


def in_pieces(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


class TestRealArchives:
    @pytest.mark.parametrize("level", ["-Z0", "-Z5"])
    def test_what_is_written_is_what_was_read(self, museum, level, tmp_path):
        """But for the compression, which is said of each file by its name."""
        server, name = museum
        pg_dump(server, name, "-Fd", level, "-f", str(tmp_path / "out"))
        data = (tmp_path / "out" / "toc.dat").read_bytes()
        read = toc.parse([data])
        assert read.version[:2] == ((1, 14) if server.version.startswith("15") else (1, 16))
        wide = 1 if read.version[:2] >= (1, 15) else 1 + read.int_bytes
        written = read.encode()
        assert written[:HEAD] == data[:HEAD]
        assert written[HEAD + wide :] == data[HEAD + wide :]
        assert written == data or level != "-Z0"
        assert toc.parse([written]) == read
        assert read.names[0] == name

    @pytest.mark.parametrize("size", [1, 7, 4096])
    def test_however_the_bytes_come(self, small, size):
        data, _ = small
        assert toc.parse(in_pieces(data, size)) == toc.parse([data])

    def test_a_custom_archive_lists_the_same(self, museum, tmp_path):
        server, name = museum
        pg_dump(server, name, "-Fd", "-Z0", "-f", str(tmp_path / "out"))
        listed = toc.parse([(tmp_path / "out" / "toc.dat").read_bytes()])
        archive = CustomArchive(in_pieces(pg_dump(server, name, "-Fc", "-Z0"), 100_000))
        assert [replace(entry, file="") for entry in listed.entries] == list(archive.toc.entries)
        rows, objects = {}, 0
        for block in archive.blocks():
            if block.is_large_objects:
                objects += sum(1 for _, data in block.objects() if b"".join(data) is not None)
            else:
                rows[block.entry.tag] = b"".join(block.chunks())
        with server.connect(name) as session:
            assert session.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone() == (objects,)
            (paintings,) = session.execute("SELECT count(*) FROM paintings").fetchone()
        assert rows["paintings"].endswith(b"\n\\.\n\n\n")
        assert rows["paintings"].count(b"\n") == paintings + 3

    def test_a_newer_version_is_told_from_damage(self, small):
        data, custom = small
        for version in (b"\1\x11", b"\2\0", b"\1\x0d"):
            with pytest.raises(UnknownArchive, match=rf"version {version[0]}\.{version[1]}"):
                toc.parse([data[:5] + version + data[7:]])
            with pytest.raises(UnknownArchive):
                CustomArchive([custom[:5] + version + custom[7:]])


class TestDamage:
    def test_cut_anywhere_it_is_incomplete(self, small):
        data, _ = small
        for size in range(len(data)):
            with pytest.raises(DumpIncomplete):
                toc.parse([data[:size]])

    def test_an_archive_that_is_cut_anywhere_is_incomplete(self, small):
        _, custom = small
        for size in range(len(custom)):
            with pytest.raises(DumpIncomplete):
                take_all(custom[:size])
        assert take_all(custom) > 0

    def test_something_after_the_end(self, small):
        data, custom = small
        with pytest.raises(DumpIncomplete, match="goes on"):
            toc.parse([data, b"x"])
        with pytest.raises(DumpIncomplete):
            take_all(custom + b"\7\0\0\0\0\0")

    def test_flipped_bits_are_read_or_refused(self, small):
        """Never another exception, and never much memory: a length may claim anything."""
        data, custom = small
        chance = random.Random(7)
        refused = 0
        for _ in range(FLIPS):
            damaged, archive = bytearray(data), bytearray(custom)
            for _ in range(chance.choice((1, 1, 2, 8))):
                damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
                archive[chance.randrange(len(archive))] ^= 1 << chance.randrange(8)
            for read in (
                lambda damaged=damaged: used(bytes(damaged)),
                lambda archive=archive: take_all(bytes(archive)),
            ):
                try:
                    read()
                except BackstayError:
                    refused += 1
        assert FLIPS / 10 < refused < 2 * FLIPS

    def test_the_memory_is_not_filled_by_a_claim(self):
        for claim in (b"\0\xff\xff\xff\x7f", b"\0\0\0\0\x20"):
            with pytest.raises(DumpIncomplete, match="damaged"):
                ByteReader([claim, b"x" * 100]).text()
            with pytest.raises(DumpIncomplete, match="damaged"):
                next(ByteReader([claim, b"x" * 100]).blocks())


def take_all(data):
    """Read a custom archive to its end; returns the bytes of its data."""
    total = 0
    for block in CustomArchive([data]).blocks():
        if block.is_large_objects:
            total += sum(len(chunk) for _, chunks in block.objects() for chunk in chunks)
        else:
            total += sum(len(chunk) for chunk in block.chunks())
    return total


def used(data):
    """Read a toc.dat and sort it as a restore does, with files for all of its tables."""
    read = toc.parse([data])
    read.encode()
    artifacts = [Artifact(entry.file, entry.file, 1, "", 1, "") for entry in read.entries if entry.file]
    return contents.sort(read, backup_of(artifacts), Selection(frozenset({"public.t"})))


def backup_of(artifacts):
    from datetime import UTC, datetime

    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Backup(
        target=Target(TierKind.POSTGRES, "x"), stamp="20260101-000000", cluster="c", state=State.COMPLETE,
        started_at=now, finished_at=now, point_in_time=now, artifacts=tuple(artifacts), tools={}, source={},
        contents={}, store="main",
    )  # fmt: skip


def entry(dump_id, desc, section, tag="t", **more):
    fields = {"had_dumper": 0, "catalog": "0", "oid": "0", "defn": "", "drop": "", "copy": "", "namespace": "public",
              "tablespace": None, "tableam": None, "relkind": 0, "owner": "o", "with_oids": "false"}  # fmt: skip
    return Entry(dump_id=dump_id, desc=desc, section=section, tag=tag, **{**fields, **more})


class TestByHand:
    def made(self, *entries, version=(1, 16, 0), int_bytes=4):
        return Toc(version, int_bytes, 8, (1, 2, 3, 4, 5, 126, 0), ("db", "18", "18"), tuple(entries))

    @pytest.mark.parametrize("version", [(1, 14, 0), (1, 15, 0), (1, 16, 0)])
    @pytest.mark.parametrize("int_bytes", [4, 8])
    def test_every_known_version(self, version, int_bytes):
        odd = entry(
            7, "TABLE", Section.PRE_DATA, tag="naïve\n\udcff", owner=None, dependencies=("1", "2"), file="7.dat"
        )
        made = self.made(odd, version=version, int_bytes=int_bytes)
        assert toc.parse([made.encode()]) == made

    def test_data_goes_after_what_it_needs_and_before_what_needs_it(self):
        made = self.made(
            entry(1, "TABLE", Section.PRE_DATA), entry(2, "BLOBS", Section.DATA), entry(3, "INDEX", Section.POST_DATA)
        )
        assert made.last_id == 3
        added = made.with_data([entry(4, "TABLE DATA", Section.DATA)])
        assert [one.dump_id for one in added.entries] == [1, 4, 2, 3]
        assert [one.dump_id for one in self.made().with_data([entry(1, "TABLE DATA", Section.DATA)]).entries] == [1]

    def test_a_dependency_that_is_no_number_is_one_on_nothing(self):
        data = entry(2, "TABLE DATA", Section.DATA, dependencies=("1q",), file="2.dat")
        made = self.made(entry(1, "TABLE", Section.PRE_DATA), data)
        artifact = Artifact("2.dat", "2.dat", 1, "", 1, "")
        sorted_out = contents.sort(made, backup_of([artifact]), Selection())
        assert sorted_out.tables == ()
        assert [table.entry for table in sorted_out.extension_rows] == [data]

    def test_a_table_whose_file_is_not_in_the_backup(self):
        made = self.made(
            entry(1, "TABLE", Section.PRE_DATA),
            entry(2, "TABLE DATA", Section.DATA, dependencies=("1",), file="2.dat"),
        )
        with pytest.raises(Corrupt, match=r"no file 2\.dat"):
            contents.sort(made, backup_of([]), Selection())

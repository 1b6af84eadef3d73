"""Drills on real servers: what is proven, what is found, what is refused, and that nothing stays behind."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from backstay.core.errors import SourceError, ToolMissing, UsageError
from backstay.core.model import Level, NoProgress, Severity
from backstay.jobs import drill
from backstay.tiers.postgres.database import Check
from tests.fixtures.world import database_on, directory_world


def drilled(world, made):
    """Plan and run a drill."""
    context = world.context
    return drill.run(context, drill.plan(context, made), made, NoProgress())


def said(outcome, severity=Severity.OK):
    return [finding.message for finding in outcome.findings if finding.severity is severity]


def databases(server):
    with server.connect() as session:
        return {row[0] for row in session.execute("SELECT datname FROM pg_database")}


def servers_below(folder):
    """Command lines of processes that work in ``folder``."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words and "postgres" in words:
            found.append(words)
    return found


@pytest.fixture
def world_of(tmp_path):
    """``world_of(database)``: a world with a scratch folder of its own."""
    scratch = tmp_path / "scratch"

    def make(*databases, **more):
        return directory_world(tmp_path, *databases, scratch_root=scratch, **more)

    yield make
    assert not scratch.exists() or list(scratch.iterdir()) == []


@pytest.mark.parametrize("form", ["directory", "sql"])
def test_a_good_backup_is_proven(postgres18, sample_database, world_of, form):
    name = sample_database(postgres18, "museum")
    world = world_of(database_on(postgres18, name, format=form, content=form == "directory"))
    made = world.backup(name)
    before = databases(postgres18)
    outcome = drilled(world, made)
    assert outcome.ok, said(outcome, Severity.ERROR)
    words = "\n".join(said(outcome))
    assert f"{made.contents['rows']:,} rows in 37 tables, each equal to the manifest" in words
    assert "amcheck clean" in words
    assert ("equal, row by row" in words) == (form == "directory")
    assert {"start", "create", "load", "finish", "compare", "check"} <= set(outcome.phases)
    (proof,) = [one for one in world.context.catalogs.named("main").proofs.read() if one.kind == "drill"]
    assert (proof.level, proof.ok, proof.backup_id) == (Level.RESTORED, True, made.id)
    assert proof.duration_seconds == outcome.facts["restore_seconds"] > 0
    assert databases(postgres18) == before


@pytest.mark.parametrize("major", [15, 17])
def test_the_scratch_server_is_of_the_version_of_the_source(request, sample_database, postgres18, world_of, major):
    """Also where the client programs are newer, as they may be."""
    server = request.getfixturevalue(f"postgres{major}")
    name = sample_database(server, "wiki")
    world = world_of(database_on(server, name, bin=postgres18.bin_dir))
    made = world.backup(name)
    assert f"PostgreSQL {major}" in drill.plan(world.context, made).title
    outcome = drilled(world, made)
    assert outcome.ok, said(outcome, Severity.ERROR)


class TestFound:
    """What makes a drill fail, and how it is said."""

    @pytest.fixture
    def shop(self, postgres18, fresh_database):
        made = fresh_database(postgres18)
        with made.connect() as session:
            session.execute(
                "CREATE TABLE parts (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, word text);"
                "CREATE TABLE twins (a int, b int);"
                "INSERT INTO parts (word) SELECT md5(i::text) FROM generate_series(1, 3000) i;"
                "INSERT INTO twins SELECT i, i FROM generate_series(1, 500) i"
            )
        return made

    def failed(self, outcome, words):
        assert not outcome.ok
        assert any(words in one for one in said(outcome, Severity.ERROR)), said(outcome, Severity.ERROR)

    def test_a_row_more_than_the_manifest_says(self, postgres18, shop, world_of):
        world = world_of(database_on(postgres18, shop.name))
        made = world.backup(shop.name)
        tables = {**made.contents["tables"]}
        tables["public.twins"] = {**tables["public.twins"], "rows": 501}
        outcome = drilled(world, replace(made, contents={**made.contents, "tables": tables}))
        self.failed(outcome, "public.twins: 500 instead of 501 rows")

    def test_one_value_that_is_another_is_found_by_content_alone(self, postgres18, shop, world_of):
        """Counts are equal, the schema is equal; a hash of a table with one other value is not."""
        counts = database_on(postgres18, shop.name)
        world = world_of(replace(counts, content=True))
        made = world.backup(shop.name)
        with shop.connect() as session:
            session.execute("UPDATE twins SET b = 0 WHERE a = 77")
        changed = world.backup(shop.name)
        assert drilled(world, changed).ok
        tables = {**changed.contents["tables"], "public.twins": made.contents["tables"]["public.twins"]}
        claimed = {**tables["public.twins"], "file": changed.contents["tables"]["public.twins"]["file"]}
        mixed = replace(changed, contents={**changed.contents, "tables": {**tables, "public.twins": claimed}})
        self.failed(drilled(world, mixed), "rows are not what they were in 1 table: public.twins")
        plain = replace(mixed, contents={key: value for key, value in mixed.contents.items() if key != "content_hash"})
        stripped = {name: {k: v for k, v in entry.items() if k != "content"} for name, entry in tables.items()}
        assert drilled(world, replace(plain, contents={**plain.contents, "tables": stripped})).ok

    def test_a_flipped_byte(self, postgres18, shop, world_of, tmp_path):
        world = world_of(database_on(postgres18, shop.name))
        made = world.backup(shop.name)
        largest = max(made.artifacts, key=lambda artifact: artifact.size_bytes)
        path = tmp_path / "store" / largest.key
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        outcome = drilled(world, made)
        self.failed(outcome, largest.key)
        (proof,) = world.context.catalogs.named("main").proofs.read()
        assert not proof.ok

    def test_a_question_of_the_users(self, postgres18, shop, world_of):
        checks = (
            Check("enough", "SELECT count(*) FROM parts", at_least=3000),
            Check("none odd", "SELECT count(*) FROM twins WHERE a <> b", at_most=0),
            Check("too many", "SELECT count(*) FROM twins", at_most=400),
            Check("no such thing", "SELECT count(*) FROM nowhere", at_least=1),
            Check("writes", "DELETE FROM twins RETURNING 1", at_least=1),
            Check("nothing", "SELECT max(a) FROM twins WHERE a > 9999", at_least=1),
        )
        world = world_of(database_on(postgres18, shop.name, checks=checks))
        outcome = drilled(world, world.backup(shop.name))
        good, bad = said(outcome), said(outcome, Severity.ERROR)
        assert 'your check "enough": 3,000, >= 3,000' in good
        assert 'your check "none odd": 0, <= 0' in good
        assert 'your check "too many": 500, must be <= 400' in bad
        assert any('"no such thing" gave no number: relation "nowhere" does not exist' in one for one in bad)
        assert any('"writes" gave no number: cannot execute DELETE in a read-only transaction' in one for one in bad)
        assert 'your check "nothing" gave nothing, must be >= 1' in bad
        assert len(bad) == 4

    def test_a_sequence_that_is_behind_in_the_source_too_is_told(self, postgres18, shop, world_of):
        with shop.connect() as session:
            session.execute("SELECT setval(pg_get_serial_sequence('parts', 'id'), 10)")
        world = world_of(database_on(postgres18, shop.name))
        outcome = drilled(world, world.backup(shop.name))
        assert outcome.ok
        (warning,) = [one for one in said(outcome, Severity.WARNING) if "behind" in one]
        assert "public.parts_id_seq at 10, public.parts.id at 3000" in warning

    def test_constraints_that_are_not_validated(self, postgres18, shop, world_of):
        """As in the source: no fault. In the copy alone: one."""
        with shop.connect() as session:
            session.execute("ALTER TABLE twins ADD CONSTRAINT low CHECK (a < 100) NOT VALID")
        world = world_of(database_on(postgres18, shop.name))
        made = world.backup(shop.name)
        assert drilled(world, made).ok
        outcome = drilled(world, replace(made, contents={**made.contents, "not_validated": []}))
        self.failed(outcome, "constraints were not validated: public.twins.low")

    def test_longer_than_the_objective_is_said_and_proven_all_the_same(self, postgres18, shop, world_of, monkeypatch):
        world = world_of(database_on(postgres18, shop.name))
        made = world.backup(shop.name)
        context = world.context
        settings = {target: replace(one, rto=timedelta(milliseconds=1)) for target, one in context.settings.items()}
        context = replace(context, settings=settings)
        outcome = drill.run(context, drill.plan(context, made), made, NoProgress())
        assert outcome.ok
        assert drill.is_over_objective(outcome)
        assert any("longer than the objective" in one for one in said(outcome, Severity.WARNING))


class TestRefused:
    """A drill that cannot be done is an error, and says nothing of the backup: no proof is kept."""

    @pytest.fixture
    def made(self, postgres18, sample_database, world_of):
        name = sample_database(postgres18, "wiki")
        world = world_of(database_on(postgres18, name))
        return world, world.backup(name)

    def proofs(self, world):
        return list(world.context.catalogs.named("main").proofs.read())

    def test_no_programs_of_that_version(self, made, monkeypatch):
        world, backup = made
        old = replace(backup, source={**backup.source, "server_version": "9.6.24"})
        with pytest.raises(ToolMissing, match=r"PostgreSQL 9") as caught:
            drill.plan(world.context, old)
        assert "--server" in caught.value.hint
        assert self.proofs(world) == []

    def test_an_extension_that_the_scratch_server_lacks(self, made):
        world, backup = made
        extensions = {**backup.contents["extensions"], "postgis": "3.5"}
        other = replace(backup, contents={**backup.contents, "extensions": extensions})
        with pytest.raises(SourceError, match="lacks extensions .*postgis"):
            drilled(world, other)
        assert self.proofs(world) == []

    def given(self, world, backup, server, origin):
        """The world with ``server`` given in place of the configured one."""
        name = backup.target.name
        configured = world.databases[name]
        there = database_on(server, name, bin=configured.bin)
        return replace(
            world, databases={name: replace(there, origin=origin.connection if origin else configured.connection)}
        )

    def test_the_source_itself(self, made, postgres18):
        world, backup = made
        same = self.given(world, backup, postgres18, world.databases[backup.target.name])
        with pytest.raises(UsageError, match="it is the source itself"):
            drill.plan(same.context, backup)
        assert self.proofs(world) == []

    def test_a_server_of_which_nothing_is_known(self, made, postgres17):
        """A backup without the mark of its server, and a source that does not answer: nothing can be excluded."""
        world, backup = made
        dark = database_on(postgres17, backup.target.name, port=1)
        other = self.given(world, backup, postgres17, dark)
        unmarked = replace(backup, source={k: v for k, v in backup.source.items() if k != "system_identifier"})
        with pytest.raises(UsageError, match="cannot be told from the source"):
            drill.plan(other.context, unmarked)

    def test_another_server_is_left_as_it_was(self, postgres15, postgres17, sample_database, tmp_path, world_of):
        name = sample_database(postgres15, "museum")
        world = world_of(database_on(postgres15, name, bin=postgres17.bin_dir))
        backup = world.backup(name)
        with postgres17.connect() as session:
            roles = {row[0] for row in session.execute("SELECT rolname FROM pg_roles")}
            session.execute(f'CREATE DATABASE "{name}__drill_20200101_000000"')  # of a drill that was killed
        before = databases(postgres17) - {f"{name}__drill_20200101_000000"}
        other = self.given(world, backup, postgres17, None)
        outcome = drilled(other, backup)
        assert outcome.ok, said(outcome, Severity.ERROR)
        assert outcome.facts["server"] == f"127.0.0.1:{postgres17.port}"
        assert databases(postgres17) == before
        with postgres17.connect() as session:
            assert {row[0] for row in session.execute("SELECT rolname FROM pg_roles")} == roles


PROGRAM = """
import json, sys
from pathlib import Path
from backstay.cli.main import main
sys.exit(main(["drill", sys.argv[1], "--config", sys.argv[2], "--json"]))
"""


def test_a_killed_drill_leaves_no_server_and_no_folder(postgres18, fresh_database, tmp_path):
    made = fresh_database(postgres18)
    with made.connect() as session:
        session.execute("CREATE TABLE big AS SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 200000) i")
    (tmp_path / "store").mkdir()
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(postgres18.password)
    config = tmp_path / "backstay.yaml"
    config.write_text(
        f'cluster: test\nstores: {{main: {{url: "file://{tmp_path}/store"}}}}\npostgres:\n  host: {postgres18.host}\n'
        f"  port: {postgres18.port}\n  password: file:{password}\n  bin: {postgres18.bin_dir}\n"
        f"  databases:\n    {made.name}: {{}}\n"
    )
    state = tmp_path / "state"
    env = {**os.environ, "XDG_STATE_HOME": str(state), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    backup = [sys.executable, "-m", "backstay", "backup", made.name, "--config", str(config), "--quiet"]
    subprocess.run(backup, env=env, check=True, timeout=120)
    scratch = state / "backstay" / "scratch"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, made.name, str(config)], env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 60
        while not (found := servers_below(scratch)) and time.monotonic() < deadline:  # initdb's come and go
            time.sleep(0.02)
        assert found
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().splitlines()
    assert not any(json.loads(line)["message_type"] == "result" for line in lines)
    deadline = time.monotonic() + 30
    while (servers_below(scratch) or list(scratch.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert servers_below(scratch) == []
    assert list(scratch.iterdir()) == []

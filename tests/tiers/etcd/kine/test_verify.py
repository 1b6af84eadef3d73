"""Damage of what is stored is found, wherever it is; what is whole is called whole. And drills."""

import random
import sqlite3

import pytest

from backstay.core.errors import DrillFailed
from backstay.core.model import Level, NoProgress, Severity
from backstay.store.directory import DirectoryStore
from backstay.store.pipeline import Encoding
from backstay.tiers.base import RestoreRequest
from backstay.tiers.etcd.kine import drill, verify
from tests.tiers.etcd.kine.kine import Kine, state
from tests.tiers.etcd.kine.stored import TAKEN, changed, fill, plane_of, take
from tests.tiers.etcd.kine.world import KineWorld

FLIPS = 150


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    made = plane_of(tmp_path_factory.mktemp("verify"))
    kine = Kine(made.sqlite_file)
    fill(kine, value_size=300)
    yield made
    kine.close()


@pytest.fixture(scope="module")
def source(plane):
    return take(plane)


def findings(plane, source):
    return list(verify.verify(plane, source.backup, source, NoProgress()))


def errors(found):
    return [finding for finding in found if finding.severity is Severity.ERROR]


class TestVerify:
    def test_whole(self, plane, source):
        found = findings(plane, source)
        assert [finding.severity for finding in found] == [Severity.OK, Severity.OK]
        assert "each equal to the manifest" in found[1].message
        assert list(plane.spool.iterdir()) == []

    def test_a_byte_in_a_value(self, plane, source):
        data = source.held["sqlite"]
        place = _in_a_live_value(plane, data)
        found = errors(findings(plane, changed(source, _flipped(data, place))))
        assert len(found) == 1
        assert "content_sha256" in found[0].message

    def test_a_byte_in_the_structure(self, plane, source):
        data = source.held["sqlite"]
        found = errors(findings(plane, changed(source, _flipped(data, 4096 * 2 + 5))))
        assert len(found) == 1
        assert "damaged" in found[0].message or "not a whole database" in found[0].message

    def test_cut_short(self, plane, source):
        data = source.held["sqlite"]
        assert errors(findings(plane, changed(source, data[: len(data) // 2])))
        assert errors(findings(plane, changed(source, b"")))

    def test_any_byte_that_changes_what_is_in_it(self, plane, source, tmp_path):
        """Bytes at random places: a flip is found, or every live row is as it was."""
        data, chance, silent = source.held["sqlite"], random.Random(7), 0
        path = tmp_path / "flipped.db"
        path.write_bytes(data)
        whole = state(path)
        for _ in range(FLIPS):
            flipped = _flipped(data, chance.randrange(100, len(data)), 1 << chance.randrange(8))
            if errors(findings(plane, changed(source, flipped))):
                continue
            path.write_bytes(flipped)
            assert state(path) == whole
            silent += 1
        assert silent < FLIPS // 2

    @pytest.mark.parametrize("name", ["revision", "compact_revision", "keys", "rows", "content_sha256", "size_bytes"])
    def test_another_promise(self, plane, name):
        found = errors(findings(plane, take(plane, **{name: 7})))
        assert f"{name} " in found[0].message
        assert "expected 7" in found[0].message

    def test_resources_that_were_promised(self, plane, source):
        resources = {**source.backup.contents["resources"], "pods": 3}
        found = errors(findings(plane, take(plane, resources=resources)))
        assert "pods: 0 keys, expected 3" in found[0].message

    def test_bytes_that_are_not_those_of_the_manifest(self, plane, source):
        held = {**source.held, "sqlite": _flipped(source.held["sqlite"], 5000)}
        (found,) = findings(plane, type(source)(source.backup, held))
        assert (found.severity, found.code) == (Severity.ERROR, "store.corrupt")


class TestDrill:
    def run(self, plane, source, folder):
        plan = drill.plan(plane, source.backup, RestoreRequest(stamp="20261126-030000", now=TAKEN))
        return drill.Drill(plane, plan, folder / "scratch", NoProgress()).run(source)

    def test_whole(self, plane, source, tmp_path):
        outcome = self.run(plane, source, tmp_path)
        assert outcome.ok
        assert list(outcome.phases) == ["fetch", "check", "restore", "start", "compare"]
        words = [finding.message for finding in outcome.findings]
        assert any("the server token opens it: 12 files" in word for word in words)
        assert any("opened for writing as kine does" in word for word in words)
        assert words[-1] == "a database that opens and is equal, not a running server: no k3s was started on it"
        assert list((tmp_path / "scratch").iterdir()) == []

    def test_damage(self, plane, source, tmp_path):
        data = source.held["sqlite"]
        bad = changed(source, _flipped(data, _in_a_live_value(plane, data)))
        outcome = self.run(plane, bad, tmp_path)
        assert not outcome.ok
        assert "did NOT come back" in outcome.message
        assert "start" not in outcome.phases
        assert list((tmp_path / "scratch").iterdir()) == []

    def test_a_content_that_differs_only_once_it_is_opened(self, plane, source, tmp_path, monkeypatch):
        """What opening it might do to the rows is looked at."""
        opened = drill.open_as_kine

        def losing(path):
            opened(path)
            database = sqlite3.connect(path)
            database.execute("UPDATE kine SET value = x'00' WHERE name LIKE '%/cm-00000008'")
            database.commit()
            database.close()

        monkeypatch.setattr(drill, "open_as_kine", losing)
        outcome = self.run(plane, source, tmp_path)
        assert [finding.code for finding in errors(outcome.findings)] == ["kine.contents"]

    def test_another_token(self, plane, source, tmp_path):
        outcome = self.run(plane_of(tmp_path, token=lambda: "another"), source, tmp_path)
        assert [finding.code for finding in errors(outcome.findings)] == ["etcd.token"]
        outcome = self.run(plane_of(tmp_path, token=lambda: None), source, tmp_path)
        assert outcome.ok
        assert any(finding.severity is Severity.WARNING for finding in outcome.findings)

    def test_a_place_that_cannot_be_used(self, plane, source, tmp_path):
        (tmp_path / "scratch").write_text("a file")
        with pytest.raises(DrillFailed, match="could not be done"):
            self.run(plane, source, tmp_path)


class TestThroughTheJobs:
    @pytest.mark.parametrize("compression", ["zip", "none", "gzip"])
    def test_backup_verify_drill_and_flipped_bytes(self, plane, tmp_path, compression):
        (tmp_path / "store").mkdir()
        world = KineWorld(DirectoryStore(tmp_path / "store"), plane, tmp_path, Encoding(compression))
        made = world.backup()
        end = {"zip": ".zip", "none": "", "gzip": ".gz"}[compression]
        (key,) = world.keys()
        assert key.startswith("etcd-snapshots/backstay-server-1-")
        assert key.endswith(f".sqlite{end}")
        assert world.verify(made).ok
        assert world.drill(made).ok
        assert world.listed() == [made]
        assert list(plane.spool.iterdir()) == []
        path = tmp_path / "store" / key
        data = path.read_bytes()
        path.write_bytes(_flipped(data, len(data) // 2))
        for depth in (Level.STORED, Level.READABLE):
            assert not world.verify(made, depth).ok
        assert not world.drill(made).ok


def _in_a_live_value(plane, data):
    """The place of a byte; that of a ConfigMap which was never changed, so that it is there once."""
    value = state(plane.sqlite_file)["/registry/configmaps/shop-3/cm-00000008"][1]
    assert data.count(value) == 1
    return data.index(value) + len(value) - 20


def _flipped(data, place, bit=1):
    return data[:place] + bytes((data[place] ^ bit,)) + data[place + 1 :]

"""The live rows of a database, against a reading of every row in order; and what is looked up in a backup."""

import json
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.core.errors import SnapshotDamaged, UsageError
from backstay.core.model import NoProgress
from backstay.tiers.etcd.kine import lookup
from backstay.tiers.etcd.kine.rows import heading, live
from tests.tiers.etcd.kine.kine import SCHEMA, Kine, state
from tests.tiers.etcd.kine.stored import changed, fill, plane_of, take

NAMES = (
    "/registry/pods/a/1",
    "/registry/pods/a/10",
    "/registry/pods/b/1",
    "/registry/podsx/1",
    "/b",
    "12",
    "ä/ö",
    "/registry/pods",
    "/registry0/behind",
)
STEPS = st.lists(st.tuples(st.sampled_from(NAMES), st.booleans(), st.binary(max_size=4)), max_size=25)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, compact=st.integers(0, 25))
def test_as_a_reading_of_every_row(tmp_path_factory, steps, compact):
    path = tmp_path_factory.mktemp("rows") / "state.db"
    kine, there, history = Kine(path), set(), {}
    for name, delete, value in steps:
        if delete and name in there:
            kine.delete(name)
            there.discard(name)
        elif not delete:
            kine.put(name, value)
            there.add(name)
        history[kine.revision()] = state(path)
    kine.compact(min(compact, kine.revision()))
    kine.close()
    expected = [(name.encode(), value, number) for name, (number, value) in state(path).items()]
    assert sorted(live(path)) == sorted(expected)
    found = [key for key, _, _ in live(path, b"/registry/")]
    assert found == sorted(name for name, _, _ in expected if name.startswith(b"/registry/"))
    revision, compacted = heading(path)
    for at, then in history.items():
        if compacted <= at <= revision:
            seen = {key.decode(): (number, value) for key, value, number in live(path, at=at)}
            assert {name: seen[name] for name in seen if name != "compact_rev_key"} == {
                name: then[name] for name in then if name != "compact_rev_key"
            }


def test_revisions_that_are_not_there(tmp_path):
    path = tmp_path / "state.db"
    kine = Kine(path)
    fill(kine)
    kine.close()
    revision, compacted = heading(path)
    assert compacted > 1
    with pytest.raises(UsageError, match="are compacted"):
        live(path, at=compacted - 1)
    with pytest.raises(UsageError, match="it ends at"):
        live(path, at=revision + 1)


def test_memory_does_not_grow_with_the_database(tmp_path):
    """40 MB are counted in a process that grows by less than 15."""
    path = tmp_path / "state.db"
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=OFF")
    for statement in SCHEMA:
        database.execute(statement)
    database.execute("BEGIN")
    random.seed(1)
    for number in range(28_000):
        row = (f"/registry/pods/n{number % 50}/{number}", 0, number, random.randbytes(1400))
        database.execute("INSERT INTO kine(name, deleted, prev_revision, value) VALUES (?, ?, ?, ?)", row)
    database.execute("COMMIT")
    database.close()
    assert path.stat().st_size > 40_000_000
    script = (
        "import sys, resource; from pathlib import Path\n"
        "from backstay.tiers.etcd.kine.census import count\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); found = count(Path(sys.argv[1]), b'/registry'); print(found.keys, peak() - before)"
    )
    words = [sys.executable, "-c", script, path]
    said = subprocess.run(words, cwd=Path(__file__).parents[4], capture_output=True, text=True, timeout=60, check=True)
    keys, grown = map(int, said.stdout.split())
    assert keys == 28_000
    assert grown < 15_000  # kB


class TestLookup:
    @pytest.fixture
    def plane(self, tmp_path):
        made = plane_of(tmp_path)
        kine = Kine(made.sqlite_file)
        fill(kine)
        kine.put("/registry/namespaces/shop", json.dumps(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"a": "first"}}}
        ).encode())  # fmt: skip
        self.then = kine.revision()
        kine.put("/registry/namespaces/shop", json.dumps(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"a": "second"}}}
        ).encode())  # fmt: skip
        kine.close()
        return made

    def test_kinds_objects_and_one_object(self, plane):
        with lookup.fetched(plane, take(plane), NoProgress()) as found:
            assert found.resources()["configmaps"] == 54
            names = [entry.resource.name for entry in found.entries("namespaces", None)]
            assert names == ["kube-system", "shop"]
            (one,) = found.objects("ns", None, "shop")
            assert found.read(one).object["metadata"]["labels"] == {"a": "second"}
            (entry,) = found.entries("cm", "shop-1", "cm-00000001")
            assert entry.meta.name == "cm-00000001"
            assert entry.mod_revision == state(plane.sqlite_file)["/registry/configmaps/shop-1/cm-00000001"][0]

    def test_as_it_was(self, plane):
        with lookup.fetched(plane, take(plane), NoProgress(), at=self.then) as found:
            (one,) = found.objects("ns", None, "shop")
            assert found.read(one).object["metadata"]["labels"] == {"a": "first"}

    def test_the_kinds_as_they_were(self, plane):
        kine = Kine(plane.sqlite_file)
        kine.delete("/registry/namespaces/shop")
        kine.put("/registry/secrets/shop/late", b"{}")
        kine.close()
        source = take(plane)
        with lookup.fetched(plane, source, NoProgress()) as found:
            now = dict(found.resources())
        with lookup.fetched(plane, source, NoProgress(), at=self.then) as found:
            then = dict(found.resources())
        assert (now.pop("namespaces"), then.pop("namespaces")) == (1, 2)
        assert now.pop("secrets") == 1
        assert now == then

    @pytest.mark.parametrize("at", [0, 10**6])
    def test_a_revision_that_is_not_there(self, plane, at):
        source = take(plane)
        first, last = source.backup.contents["compact_revision"], source.backup.contents["revision"]
        with pytest.raises(UsageError) as caught, lookup.fetched(plane, source, NoProgress(), at=at):
            pass
        assert caught.value.message.startswith(f"{source.backup.id} has no revision {at:,}: ")
        assert caught.value.hint.startswith(f"It has {first:,} to {last:,}: give --at one of these")

    def test_errors_name_what_somebody_can_look_at(self, plane):
        source = take(plane)
        damaged = changed(source, source.held["sqlite"][:8192] + bytes(4096) + source.held["sqlite"][12288:])
        with pytest.raises(SnapshotDamaged) as caught, lookup.fetched(plane, damaged, NoProgress()):
            pass
        assert source.backup.artifact("sqlite").key.rpartition("/")[2] in caught.value.message

    def test_nothing_is_left(self, plane):
        with lookup.fetched(plane, take(plane), NoProgress()):
            assert len(list(plane.spool.iterdir())) == 1
        assert list(plane.spool.iterdir()) == []

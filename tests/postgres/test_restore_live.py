"""What is live is never dropped or shut away by a restore that stalls, is cut off or comes too late."""

import threading

import pytest

from backstay.core.errors import BackstayError, RestoreError, VerificationFailed
from backstay.core.model import NoProgress
from backstay.jobs import restore
from backstay.tiers.postgres import restore as steps
from backstay.tiers.postgres import swap
from tests.fixtures.world import Later, World, database_on, directory_world
from tests.postgres.test_restore import RecordingApps, names_like

LATER = 777  # a row that is written when the restored database is in use again


@pytest.fixture
def counted(postgres18, fresh_database, tmp_path):
    """A database with ten rows, a world in which it has an app, and a backup."""
    made = fresh_database(postgres18)
    with made.connect() as session:
        session.execute("CREATE TABLE counted AS SELECT generate_series(1, 10) AS n")
    database = database_on(postgres18, made.name, apps=("deployment/web",))
    world = directory_world(tmp_path, database, apps=RecordingApps())
    return made.name, world, world.backup(made.name)


def resume(world, made):
    world.now = Later()
    place = restore.place_of(world.context, made)
    return restore.resume(world.context, made.target, lambda *_: (made, place), world.store, NoProgress())


def rows(server, name):
    with server.connect(name) as session:
        return [row[0] for row in session.execute("SELECT n FROM counted WHERE n > 10")]


def use(server, name):
    with server.connect(name) as session:
        session.execute("INSERT INTO counted VALUES (%s)", (LATER,))


def is_open(server, name):
    with server.connect() as session:
        return session.execute("SELECT datallowconn FROM pg_database WHERE datname = %s", (name,)).fetchone() == (True,)


@pytest.mark.parametrize("options", [{}, {"in_place": True}], ids=["swap", "in-place"])
def test_one_that_stood_still_while_another_took_over(options, counted, postgres18, monkeypatch):
    """A suspended machine wakes up: its lease is over, and what is live by now is another run's."""
    name, world, made = counted
    stalled, go_on, said = threading.Event(), threading.Event(), []
    compare = steps.Restore._compare

    def stand_still(self, *arguments):
        if not stalled.is_set():
            stalled.set()
            assert go_on.wait(60)
        return compare(self, *arguments)

    def first():
        try:
            World(world.store, world.databases, apps=RecordingApps()).restore(made, **options)
        except BackstayError as error:
            said.append(error)

    monkeypatch.setattr(steps.Restore, "_compare", stand_still)
    run = threading.Thread(target=first)
    run.start()
    try:
        assert stalled.wait(60)
        assert resume(world, made).ok
        use(postgres18, name)
    finally:
        go_on.set()
        run.join(60)
    assert len(said) == 1
    assert rows(postgres18, name) == [LATER]


def test_in_place_and_the_apps_did_not_start(counted, postgres18):
    """What they have written since is kept: the database is in its place, and is not made again."""
    name, world, made = counted
    world.apps.fail_on = ("start",)
    with pytest.raises(RestoreError, match="the API server is away"):
        world.restore(made, in_place=True)
    use(postgres18, name)
    world.apps = RecordingApps()
    assert resume(world, made).ok
    assert rows(postgres18, name) == [LATER]
    assert world.apps.calls == [("start", {"deployment/web": 3}, True)]


class TestInPlaceOfAnUnreadableOne:
    @pytest.fixture
    def damaged(self, counted, tmp_path):
        """A byte of the rows is another one."""
        _, _, made = counted
        (key,) = [one.key for one in made.artifacts if one.role.endswith(".dat") and one.role != "toc.dat"]
        path = tmp_path / "store" / key
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        path.write_bytes(data)

    def test_nothing_is_dropped(self, counted, damaged, postgres18):
        name, world, made = counted
        use(postgres18, name)
        with pytest.raises(VerificationFailed, match=f"{made.id} did not verify, so the live data was not dropped"):
            world.restore(made, in_place=True)
        assert rows(postgres18, name) == [LATER]
        assert world.apps.calls == []

    def test_damaged_meanwhile_the_fresh_one_is_the_way_back(self, counted, damaged, postgres18, monkeypatch):
        """The way that the error names is open, and the apps get what they had before the first of the two."""
        name, world, made = counted
        use(postgres18, name)
        monkeypatch.setattr(restore, "_require_readable", lambda *_: None)  # damaged just after it was read
        with pytest.raises(BackstayError) as caught:
            world.restore(made, in_place=True)
        fresh = world.listed(name)[-1]
        assert f"or restore the fresh backup {fresh.id}" in caught.value.hint
        assert names_like(postgres18, name) == []
        assert world.restore(fresh, to=f"{name}__copy").ok  # to look at, meanwhile
        world.apps.calls.clear()
        monkeypatch.setattr(world.apps, "replicas", lambda _namespace, apps: dict.fromkeys(apps, 0))
        assert world.restore(fresh).ok
        assert rows(postgres18, name) == [LATER]
        assert world.apps.calls[-1] == ("start", {"deployment/web": 3}, True)
        with pytest.raises(RestoreError, match="there is no unfinished restore"):
            resume(world, made)


def test_a_database_that_appears_while_its_restore_loads(counted, postgres18):
    """As an app makes that finds none. It is put aside like any other."""
    name, world, made = counted
    with postgres18.connect() as session:
        session.execute(f"DROP DATABASE {name}")
    context = world.context
    plan = restore.plan(context, made, {})
    with postgres18.connect() as session:
        session.execute(f"CREATE DATABASE {name}")
    outcome = restore.run(context, plan, made, restore.place_of(context, made), NoProgress())
    assert outcome.ok
    assert sorted(names_like(postgres18, name)) == [name, outcome.facts["kept"]]
    assert f"the database that was live is kept as {outcome.facts['kept']}" in outcome.message
    assert rows(postgres18, name) == []


class TestCutOffAtTheRename:
    @pytest.fixture
    def cut(self, monkeypatch, postgres18):
        """``cut(before)``: the session is ended just before or just after it renames."""
        rename = swap._rename_all

        def cut(before):
            def renaming(session, pairs):
                if not before:
                    rename(session, pairs)
                with postgres18.connect() as other:
                    other.execute("SELECT pg_terminate_backend(%s)", (session.info.backend_pid,))
                rename(session, pairs)

            monkeypatch.setattr(swap, "_rename_all", renaming)

        yield cut
        monkeypatch.setattr(swap, "_rename_all", rename)

    def test_before_it_live_is_open_again(self, counted, postgres18, cut):
        name, world, made = counted
        use(postgres18, name)
        cut(before=True)
        with pytest.raises(RestoreError, match="could not change places") as caught:
            world.restore(made)
        assert "Nothing was renamed: live is what it was" in caught.value.hint
        assert is_open(postgres18, name)
        assert rows(postgres18, name) == [LATER]

    def test_after_it_the_restore_is_done(self, counted, postgres18, cut):
        name, world, made = counted
        use(postgres18, name)
        cut(before=False)
        outcome = world.restore(made)
        assert outcome.ok
        assert is_open(postgres18, name)
        assert rows(postgres18, name) == []
        assert rows(postgres18, outcome.facts["kept"]) == [LATER]

    def test_a_server_that_has_gone_is_not_known_to_be_either(self, counted, postgres18, cut, monkeypatch):
        name, world, made = counted
        cut(before=False)

        def gone(_session, _name):
            raise RestoreError("the server is away")

        with monkeypatch.context() as patched:
            patched.setattr(swap, "reopen", gone)
            with pytest.raises(RestoreError, match="whether the databases have changed places is not known"):
                world.restore(made)
        assert not is_open(postgres18, name)
        assert resume(world, made).ok
        assert is_open(postgres18, name)
        (kept,) = [one for one in names_like(postgres18, name) if one != name]
        assert is_open(postgres18, kept)

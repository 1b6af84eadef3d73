"""kill -9 at every request a job makes: nothing half-done is ever listed or live, and the next run puts it right."""

import pytest

from backstay.catalog import journal as journals
from backstay.catalog.journal import JournalState
from backstay.core.model import Level, NoProgress
from backstay.demo.compare import differences, fingerprint
from backstay.jobs import restore
from tests.fixtures.killed import was_killed
from tests.fixtures.world import Later, database_on, directory_world

JOURNAL = "put backstay/v1/restores/"  # STEPS are what its puts say
STEPS = ("opened", "create", "definitions", "loaded", "load", "finish", "compare", "stop", "swap", "start", "closed")
WAYS_OUT = ("resume", "rollback", "again")
MOST_REQUESTS = 60  # a bound, far above what a job of one small database makes


def killed(server, root, verb, dbname, at, when, ref="", only=""):
    """Run the job; True when it was killed, False when it ended by itself before request ``at``."""
    arguments = [verb, root, server.host, server.port, server.bin_dir, dbname, at, when, only, *([ref] if ref else [])]
    return was_killed("tests.jobs.killed", server.password, *arguments)


@pytest.mark.parametrize("when", ["before", "after"])
def test_backup_killed_at_every_request(when, postgres18, fresh_database, tmp_path):
    made = fresh_database(postgres18)
    with made.connect() as session:
        session.execute("CREATE TABLE t AS SELECT generate_series(1, 100) AS i")
    kills = 0
    for at in range(1, MOST_REQUESTS):
        folder = tmp_path / str(at)
        folder.mkdir()
        world = directory_world(folder, database_on(postgres18, made.name))
        if not killed(postgres18, folder / "store", "backup", made.name, at, when):
            break
        kills += 1
        world.now = Later()
        for listed in world.listed(made.name):  # listed means whole
            assert world.verify(listed, Level.READABLE).ok
        assert world.listed(made.name, foreign=True) == world.listed(made.name)  # nor taken for someone else's
        newest = world.backup(made.name)
        listed = world.listed(made.name)
        assert newest.id in {one.id for one in listed}
        for one in listed:
            assert world.verify(one, Level.READABLE).ok
        claimed = {artifact.key for one in listed for artifact in one.artifacts}
        there = (folder / "store/postgres-backups").rglob("*")
        found = {str(path.relative_to(folder / "store")) for path in there if path.is_file()}
        assert found == claimed  # the next run cleaned up
    assert kills > 8


@pytest.fixture
def damaged(postgres18, sample_database, tmp_path):
    """A database, its backup, and what was done to it since: name, world, backup, prints of then and now."""
    name = sample_database(postgres18, "wiki")
    world = directory_world(tmp_path, database_on(postgres18, name))
    made = world.backup(name)
    good = prints(postgres18, name)
    with postgres18.connect(name) as session:
        session.execute("TRUNCATE pages CASCADE")
    bad = prints(postgres18, name)
    assert differences(good, bad)
    return name, world, made, good, bad


def test_restore_killed_at_every_request(postgres18, damaged, tmp_path):
    """Each kill is followed by one of the three ways out, in turn."""
    name, world, made, good, bad = damaged
    kills = 0
    for at in range(1, MOST_REQUESTS):
        if not killed(postgres18, tmp_path / "store", "restore", name, at, "before", made.id):
            break
        kills += 1
        live = prints(postgres18, name)  # whatever happened, there is a whole database under the name
        assert differences(good, live) == [] or differences(bad, live) == []
        left(world, name, made, WAYS_OUT[at % len(WAYS_OUT)], good, bad, postgres18)
        reset(postgres18, name)
    assert kills > 8


@pytest.mark.parametrize("way_out", WAYS_OUT)
def test_restore_killed_between_a_step_and_its_journal(way_out, postgres18, damaged, tmp_path):
    """The step is done and the journal does not know: the server's own names must tell."""
    name, world, made, good, bad = damaged
    for number, _ in enumerate(STEPS, 1):
        assert killed(postgres18, tmp_path / "store", "restore", name, number, "before", made.id, only=JOURNAL)
        left(world, name, made, way_out, good, bad, postgres18)
        reset(postgres18, name)


@pytest.mark.parametrize("way_out", ["resume", "rollback"])
def test_restore_killed_inside_the_swap(way_out, postgres18, damaged, tmp_path):
    """The live database refuses sessions for an instant; a kill in it must not leave it closed."""
    name, world, made, good, bad = damaged
    stopped = STEPS.index("stop") + 1
    assert killed(postgres18, tmp_path / "store", "restore", name, stopped, "after", made.id, only=JOURNAL)
    (unfinished,) = journals.unfinished(world.store, world.target(name))
    assert list(unfinished.steps)[-1] == "stop"
    with postgres18.connect() as session:
        session.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    left(world, name, made, way_out, good, bad, postgres18)


@pytest.mark.parametrize("way_out", ["resume", "rollback"])
def test_rollback_killed_at_every_request(way_out, postgres18, damaged, tmp_path):
    """Live is back under its name and the copy is gone: neither way out may take that for a swap."""
    name, world, made, good, bad = damaged
    swapped = STEPS.index("swap") + 1
    kills = 0
    for at in range(1, MOST_REQUESTS):
        assert killed(postgres18, tmp_path / "store", "restore", name, swapped, "after", made.id, only=JOURNAL)
        if not killed(postgres18, tmp_path / "store", "rollback", name, at, "before"):
            break
        kills += 1
        left(world, name, made, way_out, good, bad, postgres18)
        reset(postgres18, name)
    assert kills > 5


def left(world, name, made, way_out, good, bad, server):
    """Take one of the ways out of a killed restore and look at what is live then."""
    world.now = Later()
    context, target = world.context, world.target(name)
    unfinished = [one for one in journals.unfinished(world.store, target) if one.state is JournalState.OPEN]
    if way_out == "again" or not unfinished:
        for _ in unfinished:
            restore.rollback(context, target, world.store, NoProgress())
        assert world.restore(made).ok
        assert differences(good, prints(server, name)) == []
    elif way_out == "resume":
        place = restore.place_of(context, made)
        outcome = restore.resume(context, target, lambda _plan, _ref: (made, place), world.store, NoProgress())
        assert outcome.ok
        assert differences(good, prints(server, name)) == []
    else:
        assert restore.rollback(context, target, world.store, NoProgress()).ok
        assert differences(bad, prints(server, name)) == []
    assert not [one for one in journals.unfinished(world.store, target) if one.state is JournalState.OPEN]
    with server.connect() as session:
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        beside = session.execute(query, (f"{name}__restore",)).fetchall()
    assert beside == []


def prints(server, name):
    with server.connect(name) as session:
        return fingerprint(session)


def reset(server, name):
    """Damage what is live again, and drop what restores kept; by a session that the swap has not seen."""
    with server.connect(name) as session:
        session.execute("TRUNCATE pages CASCADE")
    with server.connect() as session:
        kept = session.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (f"{name}__",)
        ).fetchall()
        for (other,) in kept:
            session.execute(f"DROP DATABASE {other} WITH (FORCE)")

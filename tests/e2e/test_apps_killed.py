"""kill -9 around a Deployment at every request to its API server and at every entry in the journal: whatever is done
then, the data is whole and the Deployment has the replicas it had."""

import pytest

from backstay.catalog import journal as journals
from backstay.cluster.appsincluster import AppsInCluster, Waits
from backstay.cluster.client import Access, connect
from backstay.core.model import NoProgress
from backstay.demo.compare import differences
from backstay.jobs import restore
from tests.cluster.workloads import Workloads
from tests.fixtures.killed import was_killed
from tests.fixtures.world import Later, database_on, directory_world
from tests.jobs.test_killed import JOURNAL, STEPS, prints, reset

MOST_REQUESTS = 80
REPLICAS = 2


@pytest.fixture
def damaged(postgres18, sample_database, control_plane, namespace, tmp_path):
    """A world with its backup, what was in it and what is now, and the path of its Deployment."""
    name = sample_database(postgres18, "wiki")
    there = Workloads(control_plane.api, namespace)
    with connect(Access(kubeconfig=control_plane.kubeconfig)) as client:
        database = database_on(postgres18, name, apps=("deployment/web",), namespace=namespace)
        world = directory_world(tmp_path, database, apps=AppsInCluster(lambda: client, Waits(ready=0.0, pause=0.05)))
        made = world.backup(name)
        good = prints(postgres18, name)
        reset(postgres18, name)
        yield world, made, good, prints(postgres18, name), there, there.deployment("web", REPLICAS)


def killed(verb, world, made, server, plane, namespace, at, when="before", only=""):
    """Whether it was killed; else it ended before request ``at``."""
    [name] = world.databases
    root = world.store.describe().removeprefix("file://")
    words = [verb, root, server.host, server.port, server.bin_dir, name, plane.kubeconfig, namespace, at, when]
    words += [only, made.id]
    return was_killed("tests.e2e.killed_apps", server.password, *words)


@pytest.mark.parametrize("way_out", ["resume", "rollback"])
def test_a_restore_is_killed(way_out, damaged, postgres18, control_plane, namespace):
    world, made, good, bad, there, web = damaged
    [name] = world.databases
    found = set()
    for at in range(1, MOST_REQUESTS):
        if not killed("restore", world, made, postgres18, control_plane, namespace, at):
            break
        found.add(there.replicas(web))
        live = prints(postgres18, name)
        assert differences(good, live) == [] or differences(bad, live) == []
        finish(world, made, way_out)
        assert there.replicas(web) == REPLICAS
        if way_out == "resume":
            assert differences(good, prints(postgres18, name)) == []
        reset(postgres18, name)
    assert found == {0, REPLICAS}
    assert at > 20


def test_a_rollback_is_killed(damaged, postgres18, control_plane, namespace):
    world, made, _good, bad, there, web = damaged
    [name] = world.databases
    swapped = STEPS.index("swap") + 1, "after", JOURNAL
    for at in range(1, MOST_REQUESTS):
        assert killed("restore", world, made, postgres18, control_plane, namespace, *swapped)
        assert there.replicas(web) == 0
        if not killed("rollback", world, made, postgres18, control_plane, namespace, at):
            break
        finish(world, made, "rollback")
        assert there.replicas(web) == REPLICAS
        assert differences(bad, prints(postgres18, name)) == []
        reset(postgres18, name)
    assert at > 8


def finish(world, made, way_out):
    """Resume, or roll back; what left no journal is over."""
    world.now = Later()
    [name] = world.databases
    context, target = world.context, world.target(name)
    if not list(journals.unfinished(world.store, target)):
        world.restore(made)
    elif way_out == "resume":
        place = restore.place_of(context, made)
        restore.resume(context, target, lambda _plan, _ref: (made, place), world.store, NoProgress())
    else:
        restore.rollback(context, target, world.store, NoProgress())
    assert not list(journals.unfinished(world.store, target))

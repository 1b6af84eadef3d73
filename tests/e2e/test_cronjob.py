"""A CronJob in a real cluster backs up a TimescaleDB pod into S3; what it wrote is listed, verified and restored."""

import json
import shutil

import pytest

from backstay.demo.seaweed import find_weed
from tests.e2e import backstay_image
from tests.e2e.backstay_in_cluster import BACKSTAY, SEAWEED, InCluster
from tests.e2e.timescale_sample import CHUNKS, ROWS, STATEMENTS

BACKUP = "backstay backup --all --no-input --no-progress"
FIRES_SECONDS = 90.0  # it does at the next full minute
RUN_SECONDS = 120.0


@pytest.fixture(scope="session")
def images(node, debian_rootfs, tmp_path_factory) -> None:
    """Those of Backstay and of SeaweedFS, on the node."""
    folder = tmp_path_factory.mktemp("images")
    program = backstay_image.program(folder / "backstay")
    node.import_image(BACKSTAY, backstay_image.debian(debian_rootfs), program)
    (folder / "seaweed/tmp").mkdir(parents=True)
    shutil.copy(find_weed(), folder / "seaweed/weed")
    node.import_image(SEAWEED, folder / "seaweed")
    shutil.rmtree(folder)


@pytest.fixture
def world(node, images, node_namespace) -> InCluster:
    made = InCluster(node, node_namespace)
    made.start()
    return made


def test_a_cron_job_backs_up_a_database_and_the_backup_restores(world):
    world.sql("create", "CREATE DATABASE plant", "postgres")
    world.sql("load", STATEMENTS.read_text())
    assert counts(world, "before", "plant") == ROWS
    world.run("store", "backstay store init --no-input")

    fired = first_run(world)
    assert fired["status"]["succeeded"] == 1, world_log(world, fired)

    [made] = json.loads(world.run("list", "backstay list --json"))
    assert (made["target"], made["state"]) == ("postgres/plant", "complete")
    world.run("verify", "backstay verify postgres/plant --no-input --no-progress")
    [proven] = json.loads(world.run("list-again", "backstay list --json"))
    assert (made["level"], proven["level"]) == ("written", "readable")

    world.sql("lose", "DROP DATABASE plant WITH (FORCE)", "postgres")
    world.run("restore", "backstay restore postgres/plant --confirm postgres/plant --no-input --no-progress")
    assert counts(world, "after", "plant") == ROWS
    chunks = "SELECT hypertable_name, num_chunks FROM timescaledb_information.hypertables"
    found = dict(line.split("|") for line in world.sql("chunks", chunks))
    assert found == {name: str(number) for name, number in CHUNKS.items()}


def first_run(world):
    """The CronJob's first Job, when it has ended; no other follows."""
    path = world.cron_job("backup", BACKUP)
    jobs = f"/apis/batch/v1/namespaces/{world.namespace}/jobs"
    world.node.api.wait(jobs, lambda found: found["items"], FIRES_SECONDS)
    world.node.api.patch(path, {"spec": {"suspend": True}})
    [job] = world.node.api.wait(jobs, lambda found: all(map(has_ended, found["items"])), RUN_SECONDS)["items"]
    assert job["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    return job


def has_ended(job):
    return job["status"].get("succeeded", 0) + job["status"].get("failed", 0) > 0


def world_log(world, job):
    pods = world.node.api.get(f"{world.core}/pods?labelSelector=job-name%3D{job['metadata']['name']}")["items"]
    return [world.node.log(world.namespace, each["metadata"]["name"]) for each in pods]


def counts(world, name, database):
    """The rows of each hypertable."""
    query = "; ".join(f"SELECT count(*) FROM {table}" for table in ROWS)
    return dict(zip(ROWS, map(int, world.sql(name, query, database)), strict=True))

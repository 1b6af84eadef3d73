"""Prune and unfinished uploads, on real S3 servers: those of Backstay go, a neighbour's in the same bucket never."""

from datetime import UTC, datetime, timedelta

import boto3
import pytest

from backstay.catalog import keys
from backstay.core.errors import Denied
from backstay.core.model import NoProgress
from backstay.core.units import format_stamp
from backstay.jobs import prune
from backstay.store.directory import DirectoryStore
from backstay.store.memory import MemoryStore
from tests.catalog.fakes import CARDBOARD, NOW, Clock
from tests.fixtures.stocked import HAM, Stocked, settings

KINDS = ("seaweed", "moto")
OURS = ("postgres-backups/cardboard/cardboard-20260211-030000.sql.gz", "backstay/v1/backups/postgres/cardboard/x.json")
THEIRS = (
    "velero/backups/nightly/nightly.tar.gz",
    "longhorn-backups/volume.blk",
    "postgres-backups/cardboard/by-hand.sql.gz",
    "postgres-backups/cardboard-old/cardboard-old-20260211-030000.sql.gz",
)


@pytest.fixture(params=KINDS)
def bucket(request):
    return request.getfixturevalue(f"{request.param}_bucket")(prefix="cluster")


@pytest.fixture
def client(bucket):
    made = boto3.client(
        "s3",
        endpoint_url=bucket.endpoint_url,
        region_name=bucket.region,
        aws_access_key_id=bucket.access_key_id,
        aws_secret_access_key=bucket.secret_access_key,
    )
    yield made
    made.close()


def begin(client, bucket, *names):
    """Uploads with a part each, as a writer that was killed leaves them."""
    for name in names:
        upload = client.create_multipart_upload(Bucket=bucket.bucket, Key=name)["UploadId"]
        client.upload_part(Bucket=bucket.bucket, Key=name, UploadId=upload, PartNumber=1, Body=b"x" * 1000)


def pending(client, bucket):
    return {one["Key"] for one in client.list_multipart_uploads(Bucket=bucket.bucket).get("Uploads", [])}


def stock(store, *targets):
    """The machine's own clock, two days on: what was begun just now is old."""
    stocked = Stocked([settings(target) for target in targets or (CARDBOARD,)], {"main": store})
    stocked.clock.at = datetime.now(UTC) + timedelta(days=2)
    return stocked


def pruned(stocked, *targets):
    plan = prune.plan(stocked.context, targets or (CARDBOARD,))
    return plan, prune.run(stocked.context, plan, NoProgress())


def test_ours_go_and_those_of_others_in_the_same_bucket_stay(bucket, client, open_s3):
    stocked = stock(open_s3(bucket))
    ours, theirs = ({f"cluster/{name}" for name in names} for names in (OURS, THEIRS))
    begin(client, bucket, *ours, *theirs, "velero/x", OURS[0])  # the last is of another cluster
    plan, (outcome,) = pruned(stocked)
    assert [(one.prefix, one.count) for one in plan.targets[0].uploads] == [
        ("postgres-backups/cardboard/cardboard-", 1),
        (keys.ROOT, 1),
    ]
    assert [(step.name, step.detail) for step in plan.as_plans()[0].steps] == [
        ("clean", "1 unfinished upload of postgres-backups/cardboard/cardboard-..."),
        ("clean", "1 unfinished upload of backstay/v1/..."),
    ]
    assert outcome.ok
    assert outcome.message == "dropped 2 unfinished uploads"
    assert outcome.facts["uploads_dropped"] == 2
    assert pending(client, bucket) == {*theirs, "velero/x", OURS[0]}
    assert prune.plan(stocked.context, [CARDBOARD]).targets[0].does_nothing


@pytest.mark.parametrize("bucket", ["seaweed"], indirect=True)  # moto says 2010 of every upload
def test_what_was_begun_within_a_day_is_left(bucket, client, open_s3):
    stocked = stock(open_s3(bucket))
    stocked.clock.at = datetime.now(UTC) + timedelta(hours=23)
    begin(client, bucket, f"cluster/{OURS[0]}")
    plan, (outcome,) = pruned(stocked)
    assert plan.targets[0].does_nothing
    assert outcome.facts["uploads_dropped"] == 0
    assert len(pending(client, bucket)) == 1


def test_of_several_targets_each_has_its_own_and_the_first_those_of_the_folder(tmp_path):
    stocked = stock(DirectoryStore(tmp_path), CARDBOARD, HAM)
    stocked.store.put("x", [b""])
    labels = ("postgres-backups%2Fham%2Fham-20260211", "backstay%2Fv1%2Fleases%2Fpostgres%2Fham.json", "velero%2Fx")
    for label in labels:
        (tmp_path / ".backstay-tmp" / f"0-{label}").write_bytes(b"half")
    plan, outcomes = pruned(stocked, CARDBOARD, HAM)
    assert [[one.prefix for one in target.uploads] for target in plan.targets] == [
        ["backstay/v1/"],
        ["postgres-backups/ham/ham-"],
    ]
    assert [outcome.facts["uploads_dropped"] for outcome in outcomes] == [1, 1]
    assert [path.name for path in (tmp_path / ".backstay-tmp").iterdir() if path.name != "lock"] == ["0-velero%2Fx"]


class Secretive(MemoryStore):
    """A store whose keys have no right to see unfinished uploads."""

    asked = 0

    def unfinished(self, _before, _prefix):
        self.asked += 1
        raise Denied("cannot list the unfinished uploads of memory:///: the credentials do not allow it")


def test_without_the_right_to_see_them_the_rest_is_pruned_and_it_is_said_once():
    clock = Clock()
    store = Secretive(now=clock)
    stocked = Stocked([settings(CARDBOARD), settings(HAM)], {"main": store}, clock)
    stocked.daily(9)
    plan, (cardboard, ham) = pruned(stocked, CARDBOARD, HAM)
    assert store.asked == 1
    assert "unfinished uploads were not looked for: cannot list" in plan.targets[0].as_plan().notes[0]
    assert cardboard.ok
    assert cardboard.message == "removed 2 backups, 4 B"
    assert ham.findings == ()
    assert format_stamp(NOW - timedelta(days=8)) not in stocked.ids()

"""What only S3 has: options that arrive at the server, object lock, deletes by the thousand, foreign keys, TLS."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from backstay.cluster.processes import free_ports
from backstay.core.errors import (
    AlreadyExists,
    ConfigError,
    Denied,
    Locked,
    NotFound,
    StoreError,
    StoreMissing,
    Unavailable,
)
from backstay.store.s3 import S3Options, S3Store, create_bucket
from tests.fixtures.stores import MOTO_KEYS
from tests.store.helpers import MIB, keys, leftovers, noise, pieces, read

NOW = datetime.now(UTC)


@pytest.fixture
def client(moto_server):
    """The plain client library, to see what the server got."""
    opened = boto3.client(
        "s3",
        endpoint_url=moto_server,
        region_name="us-east-1",
        aws_access_key_id=MOTO_KEYS["access_key_id"],
        aws_secret_access_key=MOTO_KEYS["secret_access_key"],
    )
    yield opened
    opened.close()


def test_importing_the_backend_does_not_load_the_client_library():
    code = "import sys, backstay.store.s3; print([m for m in ('boto3', 'botocore') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "[]", run.stderr


@pytest.mark.parametrize("size", [200_000, 9 * MIB])
def test_encryption_storage_class_and_tags_arrive(moto_bucket, open_s3, client, size):
    options = moto_bucket(
        sse="aws:kms", kms_key_id="key-1", storage_class="STANDARD_IA", tags={"team": "a=b+c", "what for": "backup"}
    )
    put = open_s3(options).put("k", pieces(noise(size)))
    head = client.head_object(Bucket=options.bucket, Key="k")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "key-1")
    assert head["StorageClass"] == put.storage_class == "STANDARD_IA"
    tags = client.get_object_tagging(Bucket=options.bucket, Key="k")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "a=b+c", "what for": "backup"}


def test_small_objects_stay_in_the_standard_class(moto_bucket, open_s3):
    store = open_s3(moto_bucket(storage_class="STANDARD_IA", sse="AES256"))
    assert store.put("manifest.json", [b"{}"]).storage_class == "STANDARD"
    assert store.head("manifest.json").storage_class == "STANDARD"


def test_a_prefix_keeps_to_itself(moto_bucket, open_s3, client):
    options = moto_bucket(prefix="/clusters/homelab/")
    store = open_s3(options)
    store.put("a/b", [b"x"])
    client.put_object(Bucket=options.bucket, Key="clusters/homelab-2/a/b", Body=b"other")
    assert client.get_object(Bucket=options.bucket, Key="clusters/homelab/a/b")["Body"].read() == b"x"
    assert keys(store) == ["a/b"]
    assert store.describe() == f"s3://{options.bucket}/clusters/homelab/"


def test_foreign_keys_are_told_of_and_do_not_break_a_list(moto_bucket, client):
    options = moto_bucket(prefix="p")
    told = []
    store = S3Store(options, foreign=told.append)
    for key in ("p/", "p/folder/", "p/a//b", "p/a/../b", "p/good"):
        client.put_object(Bucket=options.bucket, Key=key, Body=b"")
    assert keys(store) == ["good"]
    assert told == ["", "a/../b", "a//b", "folder/"]
    store.close()


# moto forgets the lock of a multipart upload; SeaweedFS keeps it.
@pytest.mark.parametrize(("server", "sizes"), [("moto", [1]), ("seaweed", [1, 9 * MIB])])
@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_object_lock(request, open_s3, server, sizes, mode):
    options = request.getfixturevalue(f"{server}_bucket")(object_lock=True, lock_mode=mode)
    store = open_s3(options)
    client = store._client
    until = (NOW + timedelta(days=3)).replace(microsecond=0)
    store.put("free", [b"x"])
    for size in sizes:
        store.put(f"of-{size}", pieces(noise(size)), lock_until=until)
        kept = client.head_object(Bucket=options.bucket, Key=f"of-{size}")
        assert (kept["ObjectLockMode"], kept["ObjectLockRetainUntilDate"]) == (mode, until)
        with pytest.raises(Locked, match=f"of-{size} is locked until {until:%Y-%m-%d}"):
            store.delete(["free", f"of-{size}"])
    assert len(keys(store)) == 1 + len(sizes)
    client.put_object_legal_hold(Bucket=options.bucket, Key="free", LegalHold={"Status": "ON"})
    with pytest.raises(Locked, match="legal hold"):
        store.delete(["free"])
    client.put_object_legal_hold(Bucket=options.bucket, Key="free", LegalHold={"Status": "OFF"})
    store.delete(["free", "absent"])
    assert len(keys(store)) == len(sizes)


def test_without_conditional_writes_it_looks_first(moto_bucket, open_s3):
    store = open_s3(moto_bucket(conditional=False))
    assert not store.caps.conditional_create
    assert not store.caps.conditional_match
    etag = store.put("k", [b"1"], create=True).etag
    with pytest.raises(AlreadyExists):
        store.put("k", [b"2"], create=True)
    second = store.put("k", [b"2"], match=etag)
    with pytest.raises(AlreadyExists):
        store.put("k", [b"3"], match=etag)
    store.delete(["k"])
    with pytest.raises(AlreadyExists):
        store.put("k", [b"3"], match=second.etag)
    assert keys(store) == []


def test_no_bucket(moto_bucket, open_s3):
    store = open_s3(replace(moto_bucket(), bucket="no-such-bucket"))
    for action in (
        lambda: store.put("k", [b"x"]),
        lambda: store.put("k", pieces(noise(9 * MIB))),
        lambda: store.head("k"),
        lambda: read(store, "k"),
        lambda: keys(store),
        lambda: store.delete(["k"]),
        lambda: store.delete(["k", "l"]),
    ):
        with pytest.raises(StoreMissing) as caught:
            action()
        assert "backstay store init" in caught.value.hint


def test_an_absent_object_in_a_bucket_that_is_there(moto_store):
    with pytest.raises(NotFound):
        moto_store.head("k")


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"access_key_id": "WRONG", "secret_access_key": "x"}, "Key"), ({"secret_access_key": "wrong"}, "ignature")],
)
def test_wrong_keys_are_denied(seaweed_bucket, open_s3, changes, said):
    store = open_s3(seaweed_bucket(), **changes)
    for action in (lambda: store.put("k", [b"x"]), lambda: read(store, "k"), lambda: keys(store)):
        with pytest.raises(Denied, match=said) as caught:
            action()
        assert "access key" in caught.value.hint
        assert "wrong" not in str(caught.value)
    with pytest.raises(Denied):
        store.head("k")
    with pytest.raises(Denied):
        store.delete(["k", "l"])


def test_nothing_listens(seaweed_bucket, open_s3):
    [port] = free_ports(1)
    store = open_s3(seaweed_bucket(), endpoint_url=f"http://127.0.0.1:{port}", max_attempts=1)
    for action in (
        lambda: store.put("k", [b"x"]),
        lambda: store.put("k", pieces(noise(9 * MIB))),
        lambda: store.head("k"),
        lambda: read(store, "k"),
        lambda: keys(store),
        lambda: store.delete(["k", "l"]),
    ):
        with pytest.raises(Unavailable, match=f"nothing answers at http://127.0.0.1:{port}"):
            action()


def test_a_certificate_is_checked_by_default(moto_tls, certificate, open_s3, monkeypatch):
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    options = S3Options("bucket", endpoint_url=moto_tls, max_attempts=1, **MOTO_KEYS)
    with pytest.raises(Denied, match="certificate of https://127.0.0.1") as caught:
        open_s3(options).put("k", [b"x"])
    assert "CA file" in caught.value.hint
    trusting = replace(options, ca_file=str(certificate[0]))
    create_bucket(trusting)
    store = open_s3(trusting)
    store.put("k", pieces(noise(9 * MIB)))
    assert read(store, "k") == noise(9 * MIB)


def test_create_bucket_twice(moto_bucket):
    options = moto_bucket()
    assert not create_bucket(options)
    assert create_bucket(replace(options, bucket=f"{options.bucket}-other", region="eu-central-1"))


def test_deletes_one_by_one_where_many_are_refused(moto_bucket, open_s3, monkeypatch):
    store = open_s3(moto_bucket())
    for number in range(5):
        store.put(str(number), [b"x"])
    sent = []

    def refuse(params, **_):
        sent.append("many")
        raise store_error("MissingContentMD5")

    def single(params, **_):
        sent.append("one")

    events = store._client.meta.events
    events.register("before-call.s3.DeleteObjects", refuse)
    events.register("before-call.s3.DeleteObject", single)
    store.delete(["0", "1", "2"])
    store.delete(["3", "4"])
    assert keys(store) == []
    assert sent == ["many", "one", "one", "one", "one", "one"]


def store_error(code):
    from botocore.exceptions import ClientError

    response = {"Error": {"Code": code, "Message": "x"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(response, "DeleteObjects")


def folders(options):
    keys_of = {"aws_access_key_id": options.access_key_id, "aws_secret_access_key": options.secret_access_key}
    client = boto3.client("s3", endpoint_url=options.endpoint_url, region_name="us-east-1", **keys_of)
    found = client.list_objects_v2(Bucket=options.bucket, Prefix="p/", Delimiter="/")
    return [one["Prefix"] for one in found.get("CommonPrefixes", [])]


def test_a_folder_that_a_server_keeps_goes_when_nothing_is_in_it(seaweed_bucket, open_s3):
    options = seaweed_bucket(prefix="p")
    store = open_s3(options)
    for key in ("empty/k", "full/k", "full/l", "fuller/k"):
        store.put(key, [b"x"])
    store.delete(["empty/k", "full/k"])
    assert folders(options) == ["p/empty/", "p/full/", "p/fuller/"]
    for folder in ("empty", "full", "never"):
        store.drop_folder(folder)
    assert folders(options) == ["p/full/", "p/fuller/"]
    assert keys(store) == ["full/l", "fuller/k"]


def test_no_mark_is_left_where_there_is_no_folder(moto_bucket, open_s3, client):
    options = moto_bucket(prefix="p")
    client.put_bucket_versioning(Bucket=options.bucket, VersioningConfiguration={"Status": "Enabled"})
    store = open_s3(options)
    store.drop_folder("gone")
    assert "DeleteMarkers" not in client.list_object_versions(Bucket=options.bucket)


def test_unfinished_uploads_are_swept_by_age(moto_bucket, open_s3, client):
    options = moto_bucket(prefix="p")
    store = open_s3(options)
    client.create_multipart_upload(Bucket=options.bucket, Key="p/k")
    client.create_multipart_upload(Bucket=options.bucket, Key="p/velero/k")
    client.create_multipart_upload(Bucket=options.bucket, Key="other/k")
    past, future = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    assert sorted(key for key, _, _ in leftovers(store)) == ["k", "velero/k"]
    assert (store.unfinished(past, "k"), store.sweep(past, "k")) == (0, 0)
    assert (store.unfinished(future, "k"), store.sweep(future, "k"), store.unfinished(future, "k")) == (1, 1, 0)
    assert [key for key, _, _ in leftovers(store)] == ["velero/k"]
    assert len(client.list_multipart_uploads(Bucket=options.bucket)["Uploads"]) == 2


def test_an_upload_of_another_is_left_where_the_server_ignores_the_prefix(moto_bucket, open_s3, client):
    options = moto_bucket(prefix="p")
    store = open_s3(options)
    for key in ("p/mine-1", "p/theirs", "velero/backup"):
        client.create_multipart_upload(Bucket=options.bucket, Key=key)

    def forget_prefix(params, **_):
        params["query_string"].pop("prefix")

    store._client.meta.events.register("before-call.s3.ListMultipartUploads", forget_prefix)
    assert store.sweep(datetime(2100, 1, 1, tzinfo=UTC), "mine-") == 1
    left = [one["Key"] for one in client.list_multipart_uploads(Bucket=options.bucket)["Uploads"]]
    assert sorted(left) == ["p/theirs", "velero/backup"]


def test_an_upload_that_ended_meanwhile_is_no_error(moto_bucket, open_s3, client):
    options = moto_bucket()
    store = open_s3(options)
    upload = client.create_multipart_upload(Bucket=options.bucket, Key="k")["UploadId"]
    found = list(store.bucket.unfinished("k"))
    client.abort_multipart_upload(Bucket=options.bucket, Key="k", UploadId=upload)
    store.bucket.unfinished = lambda _prefix: iter(found)
    assert store.sweep(datetime(2100, 1, 1, tzinfo=UTC), "k") == 0


def test_lifecycle_rules(moto_bucket, open_s3, client):
    options = moto_bucket()
    store = open_s3(options)
    assert store.bucket.lifecycle_rules() == []
    rule = {"ID": "old", "Filter": {"Prefix": "x/"}, "Status": "Enabled", "Expiration": {"Days": 3}}
    client.put_bucket_lifecycle_configuration(Bucket=options.bucket, LifecycleConfiguration={"Rules": [rule]})
    assert [found["ID"] for found in store.bucket.lifecycle_rules()] == ["old"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"bucket": ""}, "name of a bucket"),
        ({"bucket": "a/b"}, "name of a bucket"),
        ({"endpoint_url": "ftp://x"}, "http or https"),
        ({"endpoint_url": "minio:9000"}, "http or https"),
        ({"endpoint_url": "https://user:hunter2@host"}, "user name"),
        ({"access_key_id": "x"}, "only one of the two"),
        ({"kms_key_id": "x"}, "not aws:kms"),
        ({"storage_class": "DEEP_ARCHIVE"}, "cannot be read back"),
        ({"prefix": "a//b"}, "prefix"),
        ({"prefix": "../a"}, "prefix"),
    ],
)
def test_options_that_contradict_themselves(wrong, said):
    with pytest.raises(ConfigError, match=said) as caught:
        S3Options(**{"bucket": "b", **wrong})
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_options_that_the_client_library_refuses(tmp_path):
    for wrong in ({"region": "not a region!"}, {"ca_file": str(tmp_path / "absent.pem")}):
        with pytest.raises(ConfigError):
            S3Store(S3Options("b", **MOTO_KEYS, **wrong))


def test_options_do_not_show_secrets():
    options = S3Options("b", access_key_id="AKIA", secret_access_key="hunter2", session_token="token")
    assert not {"AKIA", "hunter2", "token"} & set(repr(options).replace("'", " ").split())


@pytest.mark.parametrize(
    ("endpoint", "style", "expected"),
    [
        (None, None, "virtual"),
        ("http://x", None, "path"),
        ("http://x", False, "virtual"),
        (None, True, "path"),
    ],
)
def test_path_style_is_automatic(endpoint, style, expected):
    assert S3Options("b", endpoint_url=endpoint, path_style=style).addressing_style == expected


def test_a_put_too_large_for_one_object_stops_before_it_is_visible(moto_bucket, open_s3, monkeypatch):
    store = open_s3(moto_bucket())
    monkeypatch.setattr("backstay.store.s3_upload.MAX_PARTS", 2)
    with pytest.raises(StoreError, match="larger than one S3 object"):
        store.put("k", pieces(noise(25 * MIB)))
    assert keys(store) == []
    assert leftovers(store) == []

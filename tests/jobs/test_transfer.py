"""Where the files of a run are put, how they are encoded, and what other programs find beside them."""

import zipfile
from datetime import UTC, datetime
from io import BytesIO

import pyrage
import pytest

from backstay.core.errors import AlreadyExists, Corrupt
from backstay.core.model import Target, TierKind
from backstay.core.retention import KeepPolicy
from backstay.jobs.context import TargetSettings
from backstay.jobs.transfer import StoreSink, StoreSource
from backstay.store.pipeline import Encoding
from backstay.tiers.base import File
from tests.catalog.fakes import DictStore, make_backup, make_catalog

CONTROL_PLANE = Target(TierKind.ETCD, "control-plane")
BEGAN = datetime(2025, 12, 17, 19, 33, 20, 999_999, UTC)
UNIX = 1766000000
STAMP = "20251217-193320"
IDENTITY = pyrage.x25519.Identity.generate()
SNAPSHOT = File("snapshot", name="backstay-server-1-{unix}", metadata={"k3s-node-name": "server-1"})
SERVER = File("server", name="backstay-server-1-{unix}.server.tar", apart="server")
BODY = [b"a snapshot ", b"", b"of etcd"]


class Noting(DictStore):
    """Keeps what it was given beside the bytes."""

    def put(self, key, chunks, *, metadata=None, **options):
        info = super().put(key, chunks, **options)
        self.noted[key] = dict(metadata or {})
        return info


@pytest.fixture
def store():
    store = Noting()
    store.noted = {}
    return store


@pytest.fixture
def sink(store):
    """Call it for a sink with these encodings, and an intent that says what was promised."""

    def make(encoding, prefix="etcd-snapshots"):
        settings = TargetSettings(
            target=CONTROL_PLANE, store="main", prefix=prefix, base="backstay", schedule=None, timezone="UTC",
            keep=KeepPolicy(), encoding=encoding,
        )  # fmt: skip
        return StoreSink(store, settings, make_catalog(store).begin(CONTROL_PLANE, STAMP), BEGAN)

    return make


def test_what_another_program_wrote_is_left_when_the_run_gives_up(store, sink):
    made = sink(Encoding("zip"))
    key = f"etcd-snapshots/backstay-server-1-{UNIX}.zip"
    store.objects[key] = b"theirs"
    with pytest.raises(AlreadyExists, match="another program"):
        made.write(SNAPSHOT, BODY)
    made._intent.withdraw()
    assert store.objects == {key: b"theirs"}


def test_a_name_of_its_own_has_the_second_the_run_began(store, sink):
    made = sink(Encoding("zip")).write(SNAPSHOT, BODY)
    assert (made.role, made.key, made.encoding) == (
        "snapshot",
        f"etcd-snapshots/backstay-server-1-{UNIX}.zip",
        ("zip",),
    )
    with zipfile.ZipFile(BytesIO(store.objects[made.key])) as archive:
        assert archive.namelist() == [f"backstay-server-1-{UNIX}"]
        assert archive.read(archive.namelist()[0]) == b"".join(BODY)
    assert store.noted[made.key] == {"k3s-node-name": "server-1"}


@pytest.mark.parametrize(
    ("file", "encoding", "key"),
    [
        (SNAPSHOT, Encoding("none"), "etcd-snapshots/backstay-server-1-1766000000"),
        (SNAPSHOT, Encoding("zip", recipients=(str(IDENTITY.to_public()),)),
         "etcd-snapshots/backstay-server-1-1766000000.zip.age"),
        (SERVER, Encoding("zip"), "etcd-snapshots-server/backstay-server-1-1766000000.server.tar.zip"),
        (File("metadata", name=".metadata/backstay-server-1-{unix}.zip", compressed=False), Encoding("zip"),
         "etcd-snapshots/.metadata/backstay-server-1-1766000000.zip"),
        (File("dump", ".sql"), Encoding("gzip"), f"etcd-snapshots/backstay-{STAMP}.sql.gz"),
        (File("a", name="no-time"), Encoding("none"), "etcd-snapshots/no-time"),
    ],
)  # fmt: skip
def test_where_a_file_is_put(store, sink, file, encoding, key):
    writing = sink(encoding)
    made = writing.write(file, BODY)
    assert made.key == key
    source = StoreSource(store, make_backup(CONTROL_PLANE, STAMP, artifacts=(made,)), [str(IDENTITY)])
    with source.open(made.role) as chunks:
        assert b"".join(chunks) == b"".join(BODY)


@pytest.mark.parametrize("compression", ["none", "gzip", "zip"])
def test_what_another_program_wrote_is_taken_in_as_if_it_were_written_here(store, sink, compression):
    adopting = sink(Encoding(compression))
    file = File("list", name="list-{unix}")
    assert adopting.adopt(file, list) is None
    made = adopting.write(file, BODY)
    taken = []
    assert adopting.adopt(file, taken.extend) == made
    assert b"".join(taken) == b"".join(BODY)
    assert adopting.adopt(file, lambda _: None) == made
    assert made.key in adopting._intent.keys


def test_damage_of_what_is_taken_in_is_found(store, sink):
    adopting = sink(Encoding("gzip"))
    made = adopting.write(SNAPSHOT, [b"x" * 1000])
    store.objects[made.key] = store.objects[made.key][:-9]
    with pytest.raises(Corrupt):
        adopting.adopt(SNAPSHOT, lambda _: None)


@pytest.mark.parametrize(("prefix", "folder"), [("", "server"), ("a/b", "a/b-server")])
def test_a_folder_apart_is_beside_that_of_the_target(store, sink, prefix, folder):
    made = sink(Encoding("none"), prefix).write(SERVER, BODY)
    assert made.key == f"{folder}/backstay-server-1-{UNIX}.server.tar"


def test_every_key_is_promised_before_it_is_written(store, sink):
    writing = sink(Encoding("zip"))
    promised = []
    store.before = lambda verb, key: verb == "put" and promised.append(key)
    for file in (SNAPSHOT, SERVER):
        promised.clear()
        made = writing.write(file, BODY)
        assert promised[-1] == made.key
        assert promised[0].startswith("backstay/v1/intents/")
        assert made.key in store.objects[promised[0]].decode()


def test_nothing_is_noted_where_nothing_is_to_be(store, sink):
    made = sink(Encoding("gzip")).write(File("dump", ".sql"), BODY)
    assert store.noted[made.key] == {}

"""The archive of what a restore needs beside the snapshot: what is in it, what is said to be missing, and its size."""

import io
import json
import os
import socket
import stat
import tarfile
import tempfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from backstay.store.pipeline import Encoded, Encoding, decode
from backstay.tiers.etcd import serverfiles
from backstay.tiers.etcd.controlplane import DATA_DIRS, SERVICES, ControlPlane, Flavor, TlsFiles
from backstay.tiers.etcd.serverfiles import ABOUT, ServerFiles, places
from tests.fixtures.account import not_root

SERVER = "var/lib/rancher/k3s/server"
ABOUT_IT = {"flavor": "k3s", "nodes": {"server-1": "v1.37.2+k3s1"}}
OF_K3S = {
    f"{SERVER}/token": "K10abc::server:secret\n",
    f"{SERVER}/agent-token": "K10abc::node:secret\n",
    f"{SERVER}/cred/passwd": "secret,node,node,k3s:agent\n",
    f"{SERVER}/tls/server-ca.key": "key\n",
    f"{SERVER}/tls/etcd/client.key": "key\n",
    f"{SERVER}/manifests/coredns.yaml": "kind: Deployment\n",
    "etc/rancher/k3s/config.yaml": "cluster-init: true\n",
    "etc/rancher/k3s/config.yaml.d/10-home.yaml": "disable: [traefik]\n",
    "etc/rancher/k3s/registries.yaml": "mirrors: {}\n",
    "etc/rancher/node/password": "of the node\n",
    "etc/systemd/system/k3s.service": "[Service]\n",
    "etc/systemd/system/k3s.service.env": "K3S_TOKEN=secret\n",
    "etc/systemd/system/k3s.service.d/override.conf": "[Service]\n",
    "etc/default/k3s": "A=b\n",
}
NOT_OURS = {
    f"{SERVER}/db/etcd/member/snap/db": "in the snapshot\n",
    "etc/rancher/k3s/k3s.yaml": "made anew\n",
    "etc/systemd/system/other.service": "[Service]\n",
    "etc/default/other": "A=b\n",
    "etc/shadow": "no\n",
}


def plane_of(flavor=Flavor.K3S, **changes):
    plane = ControlPlane(
        name="control-plane", flavor=flavor, node="server-1", endpoints=("https://127.0.0.1:2379",),
        data_dir=Path(DATA_DIRS[flavor]), spool=Path("/nowhere"), service=SERVICES.get(flavor, "kubelet"),
    )  # fmt: skip
    return replace(plane, **changes)


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o600)


@pytest.fixture
def root(tmp_path):
    """The file system of a machine; some of it is none of our business."""
    write(tmp_path, NOT_OURS)
    return tmp_path


def archive(files):
    """The entries by name and the contents of those that are files, once it was read as a stream of bytes."""
    data = b"".join(files)
    with tarfile.open(fileobj=io.BytesIO(data)) as read:
        entries = {entry.name: entry for entry in read}
        contents = {name: read.extractfile(entry).read() for name, entry in entries.items() if entry.isreg()}
        assert len(read.getnames()) == len(entries), "twice the same name"
    assert not [name for name in entries if name.startswith("/") or ".." in name.split("/")]
    assert list(entries) == [ABOUT, *files.names]
    return entries, contents


def taken(root, plane=None, about=ABOUT_IT):
    files = ServerFiles(plane or plane_of(), about, root)
    return files, *archive(files)


def test_what_k3s_needs(root):
    write(root, OF_K3S)
    (root / f"{SERVER}/manifests/coredns.yaml").chmod(0o640)
    os.utime(root / f"{SERVER}/token", (1_766_000_000, 1_766_000_000))
    files, entries, contents = taken(root)
    assert json.loads(contents.pop(ABOUT)) == ABOUT_IT
    assert contents == {name: content.encode() for name, content in OF_K3S.items()}
    assert (files.names, files.omissions) == (list(entries)[1:], [])
    assert entries[ABOUT].mode == 0o600
    assert entries[f"{SERVER}/manifests/coredns.yaml"].mode == 0o640
    token = entries[f"{SERVER}/token"]
    assert (token.mode, token.mtime, token.uid, token.gid) == (0o600, 1_766_000_000, os.getuid(), os.getgid())


def test_it_unpacks_with_tar(root, tmp_path_factory):
    write(root, OF_K3S)
    (root / f"{SERVER}/tls/current.key").symlink_to("server-ca.key")
    out = tmp_path_factory.mktemp("out")
    with tarfile.open(fileobj=io.BytesIO(b"".join(ServerFiles(plane_of(), {}, root)))) as read:
        read.extractall(out, filter="data")
    for name, content in OF_K3S.items():
        assert (out / name).read_text() == content
    assert (out / f"{SERVER}/tls/current.key").readlink() == Path("server-ca.key")


def test_what_rke2_needs_is_where_it_has_it(root):
    names = ["var/lib/rancher/rke2/server/token", "etc/rancher/rke2/config.yaml", "etc/default/rke2-server"]
    write(root, {**OF_K3S, **dict.fromkeys(names, "x")})
    _, entries, _ = taken(root, plane_of(Flavor.RKE2))
    assert set(entries) == {ABOUT, *names, "etc/rancher/node/password"}


def test_what_kubeadm_needs(root):
    names = [
        "etc/kubernetes/manifests/etcd.yaml",
        "etc/kubernetes/pki/ca.key",
        "etc/kubernetes/pki/etcd/ca.key",
        "etc/kubernetes/admin.conf",
        "var/lib/kubelet/config.yaml",
        "var/lib/kubelet/kubeadm-flags.env",
    ]
    write(
        root, {**dict.fromkeys(names, "x"), "var/lib/kubelet/pki/kubelet.key": "x", "var/lib/etcd/member/snap/db": "x"}
    )
    _, entries, _ = taken(root, plane_of(Flavor.KUBEADM))
    assert set(entries) == {ABOUT, *names}


def test_what_etcd_alone_needs(root):
    names = ["etc/etcd/etcd.conf.yml", "etc/etcd/ca.crt", "etc/default/etcd", "etc/systemd/system/etcd.service"]
    write(root, dict.fromkeys([*names, "srv/client.key"], "x"))
    tls = TlsFiles(Path("/etc/etcd/ca.crt"), Path("/srv/client.crt"), Path("/srv/client.key"))
    _, entries, _ = taken(root, plane_of(Flavor.ETCD, tls=tls))
    assert set(entries) == {ABOUT, *names, "srv/client.key"}


def test_other_folders_and_a_service_of_another_name(root):
    write(root, {"srv/k3s/server/token": "x", "srv/config/config.yaml": "x", "etc/default/k3s-home": "x"})
    plane = plane_of(data_dir=Path("/srv/k3s"), config_dir=Path("/srv/config"), service="k3s-home")
    assert set(taken(root, plane)[1]) == {
        ABOUT, "srv/k3s/server/token", "srv/config/config.yaml", "etc/default/k3s-home",
    }  # fmt: skip


def test_without_a_name_of_the_service_no_whole_folder_is_taken():
    for flavor in (Flavor.K3S, Flavor.ETCD):
        assert not {Path("/etc/default"), Path("/etc/systemd/system")} & set(places(plane_of(flavor, service="")))


def test_where_there_is_nothing(tmp_path):
    files, entries, _ = taken(tmp_path)
    assert (list(entries), files.names, files.omissions) == ([ABOUT], [], [])


def test_links_stay_links_and_what_is_elsewhere_comes_too(root):
    write(root, {f"{SERVER}/token": "x", "srv/git/config.yaml": "cluster-init: true\n", "srv/manifests/a.yaml": "a"})
    links = {
        f"{SERVER}/tls/to-the-token": "../token",
        f"{SERVER}/tls/nowhere": "gone.key",
        f"{SERVER}/tls/itself": "itself",
        "etc/rancher/k3s/config.yaml": str(root / "srv/git/config.yaml"),
        "etc/rancher/k3s/config.yaml.d/again.yaml": "../../../../srv/git/config.yaml",
        f"{SERVER}/manifests": str(root / "srv/manifests"),
        "etc/default/k3s": "/dev/null",
    }
    for name, target in links.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)
    files, entries, contents = taken(root)
    assert {name: entry.linkname for name, entry in entries.items() if entry.issym()} == links
    assert set(contents) == {ABOUT, f"{SERVER}/token", "srv/git/config.yaml", "srv/manifests/a.yaml"}
    assert files.omissions == []


def test_a_folder_elsewhere_is_said_to_be_missing(root):
    write(root, {f"{SERVER}/token": "x", "srv/more/a.yaml": "a"})
    (root / f"{SERVER}/manifests").mkdir()
    (root / f"{SERVER}/manifests/more").symlink_to(root / "srv/more")
    files, entries, _ = taken(root)
    assert set(entries) == {ABOUT, f"{SERVER}/token", f"{SERVER}/manifests/more"}
    assert files.omissions == [f"{SERVER}/manifests/more: it leads to the folder {root}/srv/more, which is not here"]


def test_the_data_folder_may_be_reached_by_a_link(root):
    write(root, {"data/k3s/server/token": "x", "data/k3s/server/tls/a.key": "x"})
    (root / "var/lib/rancher").rename(root / "elsewhere")
    (root / "var/lib/rancher").symlink_to(root / "data")
    (root / "data/k3s/server/tls/b.key").symlink_to("a.key")
    files, entries, _ = taken(root)
    assert set(entries) == {ABOUT, f"{SERVER}/token", f"{SERVER}/tls/a.key", f"{SERVER}/tls/b.key"}
    assert files.omissions == []


def test_sockets_pipes_and_empty_folders_are_no_files(root):
    write(root, {f"{SERVER}/tls/a.key": "x"})
    os.mkfifo(root / f"{SERVER}/tls/pipe")
    (root / f"{SERVER}/tls/empty").mkdir()
    before = Path.cwd()
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(root / SERVER)  # a socket's name must be short
        try:
            listening.bind("tls/kine.sock")
        finally:
            os.chdir(before)
        files, entries, _ = taken(root)
    assert (set(entries), files.omissions) == ({ABOUT, f"{SERVER}/tls/a.key"}, [])


def test_hard_links_are_two_files(root, monkeypatch):
    monkeypatch.setattr(serverfiles, "MAX_FILE_BYTES", 1000)
    write(root, {f"{SERVER}/tls/a.key": "the key", f"{SERVER}/tls/large-a": "x" * 1001})
    (root / f"{SERVER}/tls/b.key").hardlink_to(root / f"{SERVER}/tls/a.key")
    (root / f"{SERVER}/tls/large-b").hardlink_to(root / f"{SERVER}/tls/large-a")
    files, entries, contents = taken(root)
    assert [contents[f"{SERVER}/tls/{name}.key"] for name in "ab"] == [b"the key"] * 2
    assert set(entries) == {ABOUT, f"{SERVER}/tls/a.key", f"{SERVER}/tls/b.key"}
    assert files.omissions == [f"{SERVER}/tls/large-{name}: it has 1,001 bytes, more than 1,000" for name in "ab"]


@pytest.fixture
def open_root():
    """As ``root``, where any account may enter; the folders of other tests are closed to all but ours."""
    with tempfile.TemporaryDirectory(prefix="backstay-root-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_what_may_not_be_read_is_said_to_be_missing(open_root):
    root = open_root
    write(root, OF_K3S)
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (root / f"{SERVER}/token").chmod(0)
    (root / f"{SERVER}/cred").chmod(0)
    (root / f"{SERVER}/tls/etcd").chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)  # listed, but not entered
    (root / "etc/rancher/node").chmod(0)
    (root / f"{SERVER}/manifests/link").symlink_to(root / "etc/rancher/node/password")
    try:
        with not_root():
            files, entries, _ = taken(root)
    finally:
        for path in (f"{SERVER}/cred", f"{SERVER}/tls/etcd", "etc/rancher/node"):
            (root / path).chmod(0o755)
    hidden = [f"{SERVER}/token", f"{SERVER}/cred", f"{SERVER}/tls/etcd/client.key", "etc/rancher/node/password"]
    assert files.omissions == [f"{name}: Permission denied" for name in hidden]
    kept = set(OF_K3S) - {*hidden, f"{SERVER}/cred/passwd"}
    assert set(entries) == {ABOUT, *kept, f"{SERVER}/manifests/link"}


def test_a_file_that_is_too_large_is_said_to_be_missing(root):
    write(root, {f"{SERVER}/manifests/a.yaml": "a", f"{SERVER}/manifests/z.yaml": "z"})
    with (root / f"{SERVER}/manifests/large.yaml").open("wb") as file:
        file.truncate(10**12)  # a hole
    files, entries, _ = taken(root)
    assert set(entries) == {ABOUT, f"{SERVER}/manifests/a.yaml", f"{SERVER}/manifests/z.yaml"}
    assert files.omissions == [
        f"{SERVER}/manifests/large.yaml: it has 1,000,000,000,000 bytes, more than 16,777,216"
    ]  # fmt: skip


def test_one_that_is_just_small_enough(root, monkeypatch):
    monkeypatch.setattr(serverfiles, "MAX_FILE_BYTES", 1000)
    write(root, {f"{SERVER}/token": "x" * 1000})
    files, _, contents = taken(root)
    assert (len(contents[f"{SERVER}/token"]), files.omissions) == (1000, [])


def changing(monkeypatch, name, change):
    """``change`` happens to the file of this name once it was looked at, and before it is read."""
    opened = os.open

    def meanwhile(path, flags, *more, **options):
        if Path(path).name == name:
            change(Path(path))
        return opened(path, flags, *more, **options)

    monkeypatch.setattr(serverfiles.os, "open", meanwhile)


@pytest.mark.parametrize("content", ["x" * 5000, ""], ids=len)
def test_a_file_that_grows_or_shrinks_is_there_as_it_was_read(root, monkeypatch, content):
    write(root, {f"{SERVER}/tls/a.key": "a", f"{SERVER}/tls/b.key": "b"})
    changing(monkeypatch, "a.key", lambda path: path.write_text(content))
    files, _, contents = taken(root)
    assert (contents[f"{SERVER}/tls/a.key"], contents[f"{SERVER}/tls/b.key"]) == (content.encode(), b"b")
    assert files.omissions == []


def test_a_file_that_grows_without_end_is_not_followed(root, monkeypatch):
    monkeypatch.setattr(serverfiles, "MAX_FILE_BYTES", 1000)
    write(root, {f"{SERVER}/tls/a.key": "a", f"{SERVER}/tls/b.key": "b"})
    changing(monkeypatch, "a.key", lambda path: path.write_text("x" * 5000))
    files, entries, _ = taken(root)
    assert set(entries) == {ABOUT, f"{SERVER}/tls/b.key"}
    assert files.omissions == [f"{SERVER}/tls/a.key: it has 5,000 bytes, more than 1,000"]


def test_a_file_that_vanishes_is_said_to_be_missing(root, monkeypatch):
    write(root, {f"{SERVER}/tls/a.key": "a", f"{SERVER}/tls/b.key": "b"})
    changing(monkeypatch, "a.key", Path.unlink)
    files, entries, _ = taken(root)
    assert set(entries) == {ABOUT, f"{SERVER}/tls/b.key"}
    assert files.omissions == [f"{SERVER}/tls/a.key: No such file or directory"]


def test_a_file_that_becomes_a_link_is_not_followed(root, monkeypatch):
    write(root, {f"{SERVER}/tls/a.key": "a", f"{SERVER}/tls/b.key": "b"})

    def change(path):
        path.unlink()
        path.symlink_to(root / "etc/shadow")

    changing(monkeypatch, "a.key", change)
    files, entries, _ = taken(root)
    assert set(entries) == {ABOUT, f"{SERVER}/tls/b.key"}
    assert files.omissions == [f"{SERVER}/tls/a.key: Too many levels of symbolic links"]


def test_a_file_that_becomes_a_pipe_is_not_waited_for(root, monkeypatch):
    write(root, {f"{SERVER}/tls/a.key": "a", f"{SERVER}/tls/b.key": "b"})

    def change(path):
        path.unlink()
        os.mkfifo(path)

    changing(monkeypatch, "a.key", change)
    assert set(taken(root)[1]) == {ABOUT, f"{SERVER}/tls/b.key"}


def test_names_that_are_anything(root):
    names = [f"{SERVER}/tls/{name}" for name in ("with space", "é日本", "a\nb", "x" * 200, "-rf")]
    write(root, dict.fromkeys(names, "x"))
    odd = os.fsencode(root / SERVER / "tls") + b"/\xff\xfe.key"
    Path(os.fsdecode(odd)).write_text("odd")
    files, _, contents = taken(root)
    assert set(contents) == {ABOUT, *names, f"{SERVER}/tls/" + os.fsdecode(b"\xff\xfe.key")}
    assert files.omissions == []


def test_an_omission_is_text_whatever_the_name(root, monkeypatch):
    monkeypatch.setattr(serverfiles, "MAX_FILE_BYTES", 3)
    write(root, {f"{SERVER}/token": "x"})
    odd = os.fsencode(root / SERVER) + b"/tls/\xff\xfe.key"
    Path(os.fsdecode(odd)).parent.mkdir()
    Path(os.fsdecode(odd)).write_text("large")
    files, _, _ = taken(root)
    [omission] = files.omissions
    assert omission.encode() == rf"{SERVER}/tls/\xff\xfe.key: it has 5 bytes, more than 3".encode()


def test_there_is_an_end_to_the_number_of_files(root, monkeypatch):
    monkeypatch.setattr(serverfiles, "MAX_FILES", 10)
    write(root, {f"{SERVER}/manifests/{number:02}.yaml": "x" for number in range(30)})
    files, entries, _ = taken(root)
    assert len(entries) == 1 + 10
    assert files.omissions == [f"{SERVER}/manifests/10.yaml: it and those after it are more than 10 files"]
    (root / f"{SERVER}/manifests/09.yaml").unlink()
    write(root, {f"{SERVER}/token": "x"})
    for number in range(10, 30):
        (root / f"{SERVER}/manifests/{number:02}.yaml").unlink()
    assert taken(root)[0].omissions == []


def test_it_can_be_read_again(root, monkeypatch):
    """By a store that sends it a second time: what is said is of the last time."""
    monkeypatch.setattr(serverfiles, "MAX_FILE_BYTES", 1000)
    write(root, {**OF_K3S, f"{SERVER}/manifests/large.yaml": "x" * 1001})
    files = ServerFiles(plane_of(), ABOUT_IT, root)
    encoded = Encoded(files, Encoding("zip", entry="server.tar"))
    assert encoded.source is encoded
    first, names, omissions = b"".join(encoded), list(files.names), list(files.omissions)
    (root / f"{SERVER}/agent-token").unlink()
    second = b"".join(encoded)
    assert first != second
    assert files.names == [name for name in names if not name.endswith("agent-token")]
    assert files.omissions == omissions
    b"".join(decode([second], encoded.artifact("server", "k")))


def test_memory_is_bounded_by_one_file(root):
    for number in range(12):
        (root / SERVER / "manifests").mkdir(parents=True, exist_ok=True)
        with (root / f"{SERVER}/manifests/{number}.yaml").open("wb") as file:
            file.truncate(8 << 20)
    files = ServerFiles(plane_of(), {}, root)
    tracemalloc.start()
    try:
        assert sum(map(len, files)) > 12 * (8 << 20)
        assert tracemalloc.get_traced_memory()[1] < 5 * (8 << 20)
    finally:
        tracemalloc.stop()
    assert len(files.names) == 12

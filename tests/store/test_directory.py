"""What only a folder has: links, permissions, full disks, killed writers, names that other programs made."""

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from backstay.core.errors import AlreadyExists, Corrupt, Denied, NotFound, StoreError, StoreMissing, Unavailable
from backstay.store import directory_files
from backstay.store.directory import HIDDEN, DirectoryStore
from tests.fixtures.account import not_root
from tests.store.helpers import MIB, keys, leftovers, noise, pieces, read

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def store(root):
    return DirectoryStore(root)


def test_an_object_is_a_plain_file_for_its_owner_only(store, root):
    store.put("a/b.sql.gz", [b"x"])
    assert (root / "a/b.sql.gz").read_bytes() == b"x"
    assert stat.S_IMODE((root / "a/b.sql.gz").stat().st_mode) == 0o600
    assert stat.S_IMODE((root / "a").stat().st_mode) == 0o700
    assert store.describe() == f"file://{root}/"


def test_a_missing_root_is_an_error_and_is_not_made(tmp_path):
    store = DirectoryStore(tmp_path / "unmounted")
    for action in (
        lambda: store.put("k", [b"x"]),
        lambda: store.head("k"),
        lambda: read(store, "k"),
        lambda: keys(store),
        lambda: keys(store, "a/b"),
        lambda: store.delete(["k"]),
    ):
        with pytest.raises(StoreMissing, match="unmounted does not exist"):
            action()
    assert not (tmp_path / "unmounted").exists()


def test_links_do_not_lead_out(store, root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (root / "folder").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    assert keys(store) == []
    for key in ("folder/secret", "file"):
        with pytest.raises(NotFound):
            store.head(key)
        with pytest.raises(NotFound), store.get(key):
            pass
    with pytest.raises(StoreError, match="not a folder"):
        store.put("folder/new", [b"x"])
    store.put("file", [b"mine"])
    store.delete(["folder/secret", "folder"])
    assert (outside / "secret").read_bytes() == b"secret"
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]


def test_what_is_no_plain_file_is_no_object(store, root):
    os.mkfifo(root / "pipe")
    told = []
    assert keys(DirectoryStore(root, foreign=told.append)) == []
    assert told == ["pipe"]
    with pytest.raises(NotFound), store.get("pipe"):
        pass


def test_names_that_no_key_can_have_are_told_of(root):
    told = []
    for name in (b"a\\b", b"bell\x07", b"broken\xff"):
        (root / os.fsdecode(name)).write_bytes(b"x")
    (root / "good").write_bytes(b"x")
    assert keys(DirectoryStore(root, foreign=told.append)) == ["good"]
    assert len(told) == 3


def test_a_key_cannot_be_both_object_and_folder(store):
    store.put("a/b", [b"x"])
    for put in (lambda: store.put("a", [b"y"]), lambda: store.put("a", [b"y"], create=True)):
        with pytest.raises(StoreError, match="folder of other objects"):
            put()
    with pytest.raises(StoreError, match="not a folder"):
        store.put("a/b/c", [b"y"])
    assert keys(store) == ["a/b"]
    assert leftovers(store) == []


def test_folders_left_empty_go(store, root):
    store.put("a/b/c/d", [b"x"])
    store.put("a/e", [b"x"])
    store.delete(["a/b/c/d"])
    assert sorted(path.name for path in (root / "a").iterdir()) == ["e"]


def test_where_unfinished_files_are_nothing_else_may_be(store, root):
    store.put("k", [b"x"])
    (root / HIDDEN / "stale").write_bytes(b"half")
    assert keys(store) == keys(store, "k") == ["k"]
    assert keys(store, HIDDEN) == keys(store, f"{HIDDEN}/") == []
    with pytest.raises(NotFound):
        store.head(f"{HIDDEN}/stale")
    with pytest.raises(NotFound), store.get(f"{HIDDEN}/stale"):
        pass
    for refused in (lambda: store.put(f"{HIDDEN}/x", [b"x"]), lambda: store.delete([f"{HIDDEN}/stale"])):
        with pytest.raises(Denied):
            refused()


def test_stale_files_are_swept_by_age(store, root):
    store.put("k", [b"x"])
    old, new = root / HIDDEN / "old", root / HIDDEN / "new"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (time.time() - 90_000,) * 2)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert (store.unfinished(yesterday, ""), store.sweep(yesterday, ""), store.unfinished(yesterday, "")) == (1, 1, 0)
    assert leftovers(store) == [new]
    assert keys(store) == ["k"]


@pytest.mark.parametrize("key", ["p/app-1/ü", "p/app-" + "x/ü" * 200])
def test_stale_files_are_swept_by_the_key_they_were_to_be(store, root, key):
    def copied():
        yield b"half"
        for path in leftovers(store):
            os.link(path, path.with_name(f"copy-{path.name.partition('-')[2]}"))
        yield b"rest"

    store.put(key, copied())
    future = datetime.now(UTC) + timedelta(days=1)
    for other in ("p/ap_", "p/app-2", "app-", "q"):
        assert store.sweep(future, other) == 0
    assert [store.unfinished(future, prefix) for prefix in ("", "p/", "p/app-", key)] == [1, 1, 1, 1]
    assert store.sweep(future, "p/app-") == 1
    assert leftovers(store) == []


def test_looking_for_stale_files_writes_nothing(store, root):
    assert store.unfinished(datetime.now(UTC), "") == 0
    assert list(root.iterdir()) == []


def test_a_killed_writer_leaves_nothing_visible_and_does_not_block_others(store, root):
    code = (
        "import sys, pathlib, time\n"
        "from backstay.store.directory import DirectoryStore\n"
        "def chunks():\n"
        "    yield b'x' * 1000000\n"
        "    print('half', flush=True)\n"
        "    time.sleep(60)\n"
        "DirectoryStore(pathlib.Path(sys.argv[1])).put('k', chunks(), create=True)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"half\n"
    writer.send_signal(signal.SIGKILL)
    writer.wait(30)
    writer.stdout.close()
    assert keys(store) == []
    assert len(leftovers(store)) == 1
    store.put("k", [b"next"], create=True)
    assert read(store, "k") == b"next"


def test_between_processes_one_creates(root):
    code = (
        "import sys, pathlib\n"
        "from backstay.store.directory import DirectoryStore\n"
        "from backstay.core.errors import AlreadyExists\n"
        "store, won = DirectoryStore(pathlib.Path(sys.argv[1])), 0\n"
        "sys.stdin.read(1)\n"
        "for number in range(50):\n"
        "    try:\n"
        "        store.put(f'k/{number}', [sys.argv[2].encode()], create=True)\n"
        "        won += 1\n"
        "    except AlreadyExists:\n"
        "        pass\n"
        "print(won)\n"
    )
    command = [sys.executable, "-c", code, str(root)]
    writers = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for number in range(3)
    ]
    for writer in writers:
        writer.stdin.write(b"g")
        writer.stdin.flush()
    won = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    assert sum(won) == 50
    assert len(keys(DirectoryStore(root))) == 50


def test_between_processes_no_change_is_lost(root):
    """Each adds one, forty times, under the etag it read: the sum is right only if compare and replace are one."""
    store = DirectoryStore(root)
    store.put("k", [b"0"])
    code = (
        "import sys, pathlib\n"
        "from backstay.store.directory import DirectoryStore\n"
        "from backstay.core.errors import AlreadyExists\n"
        "store, done = DirectoryStore(pathlib.Path(sys.argv[1])), 0\n"
        "sys.stdin.read(1)\n"
        "while done < 40:\n"
        "    etag = store.head('k').etag\n"
        "    with store.get('k') as chunks:\n"
        "        count = int(b''.join(chunks))\n"
        "    try:\n"
        "        store.put('k', [str(count + 1).encode()], match=etag)\n"
        "        done += 1\n"
        "    except AlreadyExists:\n"
        "        pass\n"
    )
    command = [sys.executable, "-c", code, str(root)]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(4)]
    for writer in writers:
        writer.stdin.write(b"g")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    assert read(store, "k") == b"160"


def test_a_file_system_without_hard_links(store, monkeypatch):
    def refuse(*_args, **_more):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store.put("k", [b"1"], create=True)
    with pytest.raises(AlreadyExists):
        store.put("k", [b"2"], create=True)
    assert read(store, "k") == b"1"
    assert leftovers(store) == []


def test_two_writes_in_one_tick_of_the_kernel_have_two_etags(store):
    etags = [store.put("k", [b"same size"]).etag for _ in range(50)]
    assert len(set(etags)) == 50


@pytest.mark.parametrize(
    ("number", "expected", "said"),
    [
        (errno.ENOSPC, StoreError, "no room"),
        (errno.EDQUOT, StoreError, "no room"),
        (errno.EACCES, Denied, "denied"),
        (errno.EROFS, Denied, "Read-only"),
        (errno.ESTALE, Unavailable, "tale"),
        (errno.EIO, StoreError, "rror"),
        (errno.ENAMETOOLONG, StoreError, "longer than"),
    ],
)
def test_what_the_system_refuses(store, root, monkeypatch, number, expected, said):
    real_fsync = os.fsync
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(number, os.strerror(number))))
    with pytest.raises(expected, match=said) as caught:
        store.put("k", [b"x"])
    assert type(caught.value) is expected
    assert str(caught.value).startswith(f"cannot write file://{root}/k: ")
    assert os.fsync is real_fsync
    assert keys(store) == []
    assert leftovers(store) == []


def test_a_full_disk_for_real(tmp_path):
    """On a file system of 1 MB, where this machine lets one be made."""
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)]
    if not AS_ROOT or subprocess.run(command, capture_output=True, timeout=30).returncode:
        pytest.skip("needs the right to mount a tmpfs (run as root)")
    try:
        store = DirectoryStore(mount)
        store.put("good", [noise(100_000)])
        with pytest.raises(StoreError, match="no room on the disk") as caught:
            store.put("k", pieces(noise(3 * MIB)))
        assert not caught.value.retryable
        assert keys(store) == ["good"]
        store.put("also good", [noise(100_000)])
    finally:
        subprocess.run(["umount", str(mount)], check=True, timeout=30)


def test_permissions(store, root):
    store.put("a/b", [b"x"])
    (root / "a").chmod(0)
    with not_root():
        for action in (lambda: store.head("a/b"), lambda: keys(store), lambda: store.put("a/b", [b"y"])):
            with pytest.raises(Denied, match="Permission denied"):
                action()
    (root / "a").chmod(0o700)
    assert read(store, "a/b") == b"x"


def test_a_file_that_is_cut_while_it_is_read_is_corrupt(store, root):
    store.put("k", [noise(3 * MIB)])
    with store.get("k") as chunks:
        next(chunks)
        os.truncate(root / "k", MIB)
        with pytest.raises(Corrupt, match="before its end"):
            list(chunks)


def test_a_file_that_is_replaced_while_it_is_read_stays_what_it_was(store):
    store.put("k", [b"a" * 3 * MIB])
    with store.get("k") as chunks:
        first = next(chunks)
        store.put("k", [b"b"])
        store.delete(["k"])
        assert first + b"".join(chunks) == b"a" * 3 * MIB


def test_an_error_that_is_not_in_any_list_keeps_its_text():
    error = directory_files.translated(OSError(errno.EXDEV, os.strerror(errno.EXDEV)), "write file:///x")
    assert type(error) is StoreError
    assert "cross-device" in str(error)

"""A file of 300 MB takes no more memory than one of 3 MB."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from backstay.tiers.etcd.file.newest import CHUNK
from backstay.tiers.etcd.file.records import revision_key
from tests.tiers.etcd.file.handmade import record, write_database

PEAK_MIB = 100
RECORDS = 290_000
DELETED = 40_000

SCRIPT = """
import sys
from pathlib import Path
from backstay.tiers.etcd.file.keyspace import live
from backstay.tiers.etcd.file.rewrite import rewrite
from backstay.tiers.etcd.file.survey import survey
from backstay.tiers.etcd.file.trailer import check_trailer

path = Path(sys.argv[1])
check_trailer(path)
found = survey(path)
rewrite(path, path)
again = survey(path)
nodes = sum(1 for _ in live(path, b"/registry/minions/"))
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
print(found.keys, found.records, found.hash_kv == again.hash_kv, nodes, int(peak.split()[1]) // 1024)
"""


def records() -> Iterator[tuple[bytes, bytes]]:
    """Some are replaced later, so that not all count."""
    value = bytes(range(256)) * 4
    for number in range(RECORDS):
        name = number % (RECORDS - DELETED)
        resource = b"minions" if name % 1000 == 0 else b"pods/shop"
        yield record(number + 2, b"/registry/%s/object-%08d" % (resource, name), value)


def test_peak_memory_is_bounded(tmp_path: Path) -> None:
    compacted = [(b"finishedCompactRev", revision_key(RECORDS // 2))]
    path = write_database(tmp_path / "s", {b"key": records(), b"meta": compacted})
    assert path.stat().st_size > 300_000_000
    assert RECORDS > CHUNK  # so that the newest records are found by way of a file
    command = [sys.executable, "-c", SCRIPT, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    path.unlink()
    keys, count, same_hash, nodes, peak = done.stdout.split()
    assert (int(keys), int(count), same_hash) == (RECORDS - DELETED, RECORDS, "True")
    assert int(nodes) == (RECORDS - DELETED) // 1000
    # getrusage would count the memory of the process that started this one.
    assert int(peak) < PEAK_MIB

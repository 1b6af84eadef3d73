"""Kubernetes objects: backup against a bare list of the same, restore against bare creates of the same."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from tests.cluster.control_plane import ControlPlane

from backstay.core.units import format_count
from bench.arena import BACKSTAY_BUCKET, Arena
from bench.figures import as_json, json_result, mib, rounds, seconds, times
from bench.kubernetes import NAMESPACES, control_plane, fill
from bench.measure import Run, spread
from bench.result import Ratio, Result

SIZES = (10_000, 100_000)
LARGE = "BENCH_OBJECTS"  # in the environment: one more size, such as 300000
RESTORED = {10_000: 5_000, 100_000: 20_000}  # how many, of how many that are backed up
THREADS = 8
BACKUP, LISTED = "backstay backup objects", "bare LIST in pages, decoded"
RESTORE, CREATED = "backstay restore", "bare parallel creates"
COLUMNS = ("", "seconds", "objects/s", "stored", "peak RSS", "client CPU s")
CONFIG = """\
cluster: bench
stores:
  main: {{url: "s3://{bucket}", endpoint: "{endpoint}", credentials: "file:{credentials}"}}
kubernetes: {{kubeconfig: {kubeconfig}}}
objects:
  workers: {threads}
  schedules:
    bench-{size}: {{schedule: "0 2 * * *"}}
"""
_numbers = count(1)


def run(arena: Arena) -> Result:
    """Measure each size, and one restore."""
    result = Result("objects", "Kubernetes objects into SeaweedFS, on one machine with the API server", COLUMNS)
    sizes = (*SIZES, *([int(os.environ[LARGE])] if os.environ.get(LARGE) else []))
    for size in sizes:
        with _cluster(arena, size) as cluster:
            ways = {BACKUP: partial(_backup, arena, cluster), LISTED: partial(_listed, arena, cluster)}
            _add_backup(result, cluster, rounds(arena, f"{format_count(size)} objects", ways))
            if number := RESTORED.get(size):
                again = {
                    RESTORE: partial(_restore, arena, cluster, number),
                    CREATED: partial(_created, arena, cluster, number),
                }
                _add_restore(result, number, rounds(arena, f"restore of {format_count(number)}", again))
    result.notes.append("kube-apiserver and its etcd have the same cores; what they use is in nobody's column.")
    return result


@dataclass(frozen=True)
class _Cluster:
    """A control plane with ``size`` objects, and the configuration that backs it up."""

    plane: ControlPlane
    size: int
    config: Path

    @property
    def target(self) -> str:
        return f"objects/bench-{self.size}"


@contextmanager
def _cluster(arena: Arena, size: int) -> Iterator[_Cluster]:
    arena.say(f"filling a control plane with {format_count(size)} objects")
    folder = arena.folder / f"objects-{size}"
    folder.mkdir()
    with control_plane(folder / "plane") as plane:
        fill(plane, size)
        config = folder / "backstay.yaml"
        config.write_text(
            CONFIG.format(
                bucket=BACKSTAY_BUCKET,
                endpoint=arena.s3_endpoint,
                credentials=arena.credentials,
                kubeconfig=plane.kubeconfig,
                threads=THREADS,
                size=size,
            )
        )
        yield _Cluster(plane, size, config)


def _backup(arena: Arena, cluster: _Cluster) -> Run:
    return _backstay(arena, cluster, "backup", cluster.target)


def _restore(arena: Arena, cluster: _Cluster, number: int) -> Run:
    """As many objects as the bare creates make, into namespaces that are not there yet."""
    turn = next(_numbers)
    spaces = [f"team-{each}" for each in range(number * NAMESPACES // cluster.size)]
    maps = [word for space in spaces for word in ("--namespace-map", f"{space}:{space}-{turn}")]
    chosen = ["--include-namespaces", ",".join(spaces), "--resources", "configmaps", *maps]
    return _backstay(arena, cluster, "restore", cluster.target, *chosen, "--wait", "0", "--confirm", cluster.target)


def _backstay(arena: Arena, cluster: _Cluster, *words: str) -> Run:
    environment = {**arena.environment, "BACKSTAY_CONFIG": str(cluster.config)}
    return arena.run(arena.backstay(*words, "--json", "--no-progress"), env=environment)


def _listed(arena: Arena, cluster: _Cluster) -> Run:
    return arena.run([sys.executable, "-m", "bench.plainlist", str(cluster.plane.kubeconfig)], env=arena.environment)


def _created(arena: Arena, cluster: _Cluster, number: int) -> Run:
    words = [str(cluster.plane.kubeconfig), f"bare-{next(_numbers)}", str(number), str(THREADS)]
    return arena.run([sys.executable, "-m", "bench.plaincreate", *words], env=arena.environment)


def _add_backup(result: Result, cluster: _Cluster, found: dict[str, list[Run]]) -> None:
    own, bare, size = found[BACKUP], found[LISTED], format_count(cluster.size)
    stored = int(json_result(own[-1])["size_bytes"])
    listed = int(bare[-1].output)
    for way, runs in found.items():
        _row(result, f"{way}, {size}", runs, listed, f"{stored / 1e6:.1f} MB" if way == BACKUP else "-")
    result.ratios += [
        Ratio(f"objects {size}: rate of Backstay, of a bare LIST", f"{times(bare, own):.2f}", "at least 0.5"),
        Ratio(
            f"objects {size}: peak RSS of Backstay", mib(max(one.peak_bytes for one in own)), "at most 256 MiB, flat"
        ),
    ]


def _add_restore(result: Result, number: int, found: dict[str, list[Run]]) -> None:
    for way, runs in found.items():
        _row(result, f"{way}, {format_count(number)}", runs, number, "-")
    name = f"restore of {format_count(number)}: rate of Backstay, of bare creates"
    ratio = times(found[CREATED], found[RESTORE])
    result.ratios.append(Ratio(name, f"{ratio:.2f}", "at least 0.6"))


def _row(result: Result, name: str, runs: list[Run], objects: int, stored: str) -> None:
    peak = mib(max(one.peak_bytes for one in runs))
    cpu = f"{sum(one.client_seconds for one in runs) / len(runs):.1f}"
    rate = f"{objects / seconds(runs):.0f}"
    result.rows.append((name, spread([one.seconds for one in runs]), rate, stored, peak, cpu))
    result.figures[name] = {"runs": [as_json(one) for one in runs]}

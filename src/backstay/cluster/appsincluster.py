"""``Apps`` of a Kubernetes cluster: scaled to zero around a swap, and back to what they had (docs/decisions/0023)."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from backstay.cluster.apps import NO_APPS, commands
from backstay.cluster.base import Cluster, Object
from backstay.cluster.workloads import Scaled, Scheduled, Workload, workload
from backstay.core.errors import (
    ClusterError,
    ClusterUnreachable,
    ConfigError,
    ObjectNotFound,
    RestoreError,
    UsageError,
)
from backstay.core.units import format_duration, listed

TOLD = 5  # names in a message
RIGHTS = "docs/restore.md#what-the-cluster-must-allow"


@dataclass(frozen=True)
class Waits:
    """By which clock, how often a cluster is asked, and how many seconds workloads may take to be ready again."""

    ready: float = 300.0
    pause: float = 0.5
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)


class AppsInCluster:
    """See ``Apps``. ``connect`` is called when the first workload is asked for, and each time."""

    by_hand = False

    def __init__(self, connect: Callable[[], Cluster], waits: Waits | None = None) -> None:
        self._connect = connect
        self._waits = waits or Waits()

    def steps(self, namespace: str, apps: Sequence[str]) -> tuple[str, str]:
        """See ``Apps.steps``."""
        if not apps:
            return NO_APPS
        found = [(one, one.count(body)) for one, body in self._allowed(namespace, apps)]
        stop = [f"{one} ({one.words(count)}{'' if count else ', as it stays'})" for one, count in found]
        to = {Scaled: "to ", Scheduled: ""}
        start = [f"{one} {to[type(one)]}{one.words(count)}" for one, count in found if count]
        return ", ".join(stop), ", ".join(start) or NO_APPS[1]

    def require(self, namespace: str, apps: Sequence[str]) -> None:
        """See ``Apps.require``."""
        self._allowed(namespace, apps)

    def replicas(self, namespace: str, apps: Sequence[str]) -> Mapping[str, int]:
        """See ``Apps.replicas``."""
        with _or_by_hand(namespace, apps):
            return {str(one): one.count(one.look()) for one in self._workloads(namespace, apps)}

    def stop(self, namespace: str, replicas: Mapping[str, int], told: Callable[[str], None]) -> None:
        """See ``Apps.stop``. CronJobs first: while their Jobs come to an end, the others still serve."""
        with _or_by_hand(namespace, replicas):
            workloads = self._workloads(namespace, replicas)
            stopped: list[Workload] = []
            for kind in (Scheduled, Scaled):
                these = [one for one in workloads if isinstance(one, kind)]
                for one in these:
                    if replicas[str(one)]:
                        one.scale(0)
                stopped += these
                self._wait_until_ended(stopped, told)

    def start(self, namespace: str, replicas: Mapping[str, int], *, wait: bool) -> Sequence[str]:
        """See ``Apps.start``. One that something else has started is left as it is; one that is gone is told of."""
        wanted = {app: count for app, count in replicas.items() if count}
        started, gone, failed = list[str](), list[str](), dict[str, str]()
        for app, count in wanted.items():
            try:
                one = workload(self._connect(), namespace, app)
                if not one.count(one.look()):
                    one.scale(count)
                started.append(app)
            except ObjectNotFound:
                gone.append(app)
            except (ClusterError, ConfigError) as error:
                failed[app] = error.message
                if isinstance(error, ClusterUnreachable | ConfigError):
                    left = [other for other in wanted if other not in {*started, *gone, *failed}]
                    failed |= dict.fromkeys(left, error.message)
                    break
        if failed:
            raise RestoreError(
                f"{listed(list(failed))} could not be started again: {'; '.join(dict.fromkeys(failed.values()))}",
                hint=f"By hand: {commands(namespace, {app: wanted[app] for app in failed})}.",
            )
        late = self._wait_until_ready(namespace, started) if wait and started else []
        return [*(f"{app} is not there any more" for app in gone), *late]

    def _allowed(self, namespace: str, apps: Sequence[str]) -> list[tuple[Workload, Object]]:
        """Each as it is now. Raises as ``Apps.require`` does."""
        found = []
        with _or_by_hand(namespace, apps):
            for one in self._workloads(namespace, apps):
                try:
                    body = one.look()
                except ObjectNotFound as error:
                    error.hint = f"Correct apps in the configuration: it names {one}."
                    raise
                if reason := one.keeps_from_stopping(body):
                    raise UsageError(f"{one} must not be stopped by its scale: {reason}")
                one.scale(0, dry_run=True)
                one.running(body)
                found.append((one, body))
        return found

    def _workloads(self, namespace: str, apps: Sequence[str] | Mapping[str, int]) -> list[Workload]:
        return [workload(self._connect(), namespace, app) for app in apps]

    def _wait_until_ended(self, workloads: Sequence[Workload], told: Callable[[str], None]) -> None:
        """Returns after one look in which nothing ran and everything was told to stop. The time is for each that ends:
        a StatefulSet stops its pods one after the other."""
        clock, fewest, end = self._waits.clock, None, 0.0
        while True:
            seen = [(one, one.look()) for one in workloads]
            left = [task for one, body in seen for task in one.left(body)]
            if not left:
                return
            seconds = max(one.patience(body) for one, body in seen)
            if fewest is None or len(left) < fewest:
                fewest, end = len(left), clock() + seconds
            named = _named(left)
            if clock() >= end:
                raise RestoreError(
                    f"{named} did not end within {format_duration(seconds)}",
                    hint="See why (kubectl describe), or stop everything your own way and add --apps-stopped.",
                )
            told(f"waiting for {named}")
            self._waits.sleep(self._waits.pause)

    def _wait_until_ready(self, namespace: str, apps: Sequence[str]) -> list[str]:
        end = self._waits.clock() + self._waits.ready
        while True:
            try:
                late = [(one, why) for one in self._workloads(namespace, apps) if (why := one.not_ready(one.look()))]
            except ClusterError as error:
                return [f"whether {listed(list(apps))} is ready again cannot be seen: {error.message}"]
            if not late:
                return []
            if self._waits.clock() >= end:
                took = format_duration(self._waits.ready)
                return [f"{one} is not ready after {took}: {why}" for one, why in late]
            self._waits.sleep(self._waits.pause)


@contextmanager
def _or_by_hand(namespace: str, apps: Sequence[str] | Mapping[str, int]) -> Iterator[None]:
    """What cannot be done in the cluster can be done by the user; both ways are in the hint."""
    try:
        yield
    except (ClusterError, ConfigError, UsageError) as error:
        whole = f" All the rights that are needed: {RIGHTS}." if "Add this rule" in error.hint else ""
        typed = commands(namespace, dict.fromkeys(apps, 0))
        error.hint = f"{error.hint}{whole} Or stop them by hand ({typed}) and add --apps-stopped.".strip()
        raise


def _named(tasks: Sequence[str]) -> str:
    more = [f"{len(tasks) - TOLD:,} more"] if len(tasks) > TOLD else []
    return listed([*tasks[:TOLD], *more])

"""The workloads that use a database, stopped while its restored twin takes its place.

``Apps`` is what a restore needs: of a cluster (``appsincluster``), or of the user, who stops them and says so.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol


class Apps(Protocol):
    """Stops and starts workloads named ``deployment/cardboard``. Every method raises ``ClusterError`` and
    ``ConfigError`` where there is a cluster, and the hint says that the user may do it too.

    The replicas of a CronJob are 1, or 0 when it is suspended.
    """

    by_hand: bool  # the user stops and starts them

    def steps(self, namespace: str, apps: Sequence[str]) -> tuple[str, str]:
        """For a plan: what will be stopped, and what started. Raises as ``require`` does."""

    def require(self, namespace: str, apps: Sequence[str]) -> None:
        """See that they are there and may be stopped and started, before anything is changed. Raises ``UsageError``
        for one that would lose data by it."""

    def replicas(self, namespace: str, apps: Sequence[str]) -> Mapping[str, int]:
        """How many each has now."""

    def stop(self, namespace: str, replicas: Mapping[str, int], told: Callable[[str], None]) -> None:
        """Scale them to zero and wait until nothing of them runs; ``told`` hears for what.

        Raises ``RestoreError`` when that takes too long, or something starts them again. Some may be stopped then.
        """

    def start(self, namespace: str, replicas: Mapping[str, int], *, wait: bool) -> Sequence[str]:
        """Scale back those that are at zero and had more; with ``wait``, what is not ready in the end, and why.

        Raises ``RestoreError`` when one could not be scaled; the others were.
        """


class AppsByHand:
    """Workloads are stopped and started by the user, who says so with ``--apps-stopped``."""

    by_hand = True

    def steps(self, namespace: str, apps: Sequence[str]) -> tuple[str, str]:  # noqa: ARG002
        """See ``Apps.steps``."""
        named = ", ".join(apps)
        return (f"{named}: stopped by you", f"{named}: by you, afterwards") if apps else NO_APPS

    def require(self, namespace: str, apps: Sequence[str]) -> None:
        """They are stopped."""

    def replicas(self, namespace: str, apps: Sequence[str]) -> Mapping[str, int]:  # noqa: ARG002
        """Only the user knows."""
        return {}

    def stop(self, namespace: str, replicas: Mapping[str, int], told: Callable[[str], None]) -> None:
        """They are stopped."""

    def start(self, namespace: str, replicas: Mapping[str, int], *, wait: bool) -> Sequence[str]:  # noqa: ARG002
        """The user starts them."""
        return ()


NO_APPS = ("no workloads are configured for this database", "nothing to start")


def commands(namespace: str, replicas: Mapping[str, int]) -> str:
    """What a user types to give them so many replicas."""
    return "; ".join(
        f'kubectl -n {namespace} patch {app} -p \'{{"spec":{{"suspend":{"false" if count else "true"}}}}}\''
        if app.startswith("cronjob/")
        else f"kubectl -n {namespace} scale {app} --replicas={count}"
        for app, count in replicas.items()
    )

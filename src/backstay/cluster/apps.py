"""The workloads that use a database, stopped while its restored twin takes its place.

``Apps`` is what a restore needs of a cluster; where there is no cluster at hand, the user stops them and says so.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from backstay.core.errors import UsageError


class Apps(Protocol):
    """Stops and starts workloads named ``deployment/cardboard``."""

    def words(self, apps: Sequence[str], *, start: bool = False) -> str:
        """For a plan: how they will be stopped, or started."""

    def require(self, namespace: str, apps: Sequence[str]) -> None:
        """Raise ``UsageError`` when they cannot be stopped; asked before anything is changed."""

    def stop(self, namespace: str, apps: Sequence[str]) -> Mapping[str, int]:
        """Scale them to zero, wait for their pods to go, and return the replicas each had."""

    def start(self, namespace: str, replicas: Mapping[str, int]) -> None:
        """Scale them back and wait until ready."""


class AppsByHand:
    """No cluster: workloads are stopped by the user, who says so with ``--apps-stopped``."""

    def __init__(self, *, stopped: bool = False) -> None:
        self._stopped = stopped

    def words(self, apps: Sequence[str], *, start: bool = False) -> str:
        """See ``Apps.words``."""
        if not apps:
            return "nothing to start" if start else "no workloads are configured for this database"
        if start:
            return f"{', '.join(apps)}: by you, afterwards"
        return f"{', '.join(apps)}: {'stopped by you' if self._stopped else 'by you, before; then --apps-stopped'}"

    def require(self, namespace: str, apps: Sequence[str]) -> None:
        """See ``Apps.require``."""
        if apps and not self._stopped:
            scale = "; ".join(f"kubectl -n {namespace} scale {app} --replicas=0" for app in apps)
            raise UsageError(
                f"{', '.join(apps)} must be stopped first, and Backstay has no way to do it from here",
                hint=f"Stop them ({scale}) and add --apps-stopped. Nothing has been changed.",
            )

    def stop(self, namespace: str, apps: Sequence[str]) -> Mapping[str, int]:
        """Nothing to do: they are stopped."""
        self.require(namespace, apps)
        return {}

    def start(self, namespace: str, replicas: Mapping[str, int]) -> None:
        """Nothing to do: the user starts them."""

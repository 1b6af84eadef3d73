"""The workloads that use a database, stopped while its restored twin takes its place.

``Apps`` is what a restore needs of a cluster; where there is no cluster at hand, the user stops them and says so.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from backstay.core.errors import UsageError


class Apps(Protocol):
    """Stops and starts workloads named ``deployment/cardboard``."""

    def check(self, namespace: str, apps: Sequence[str]) -> str:
        """A sentence for the plan on how they will be stopped. Raises ``UsageError`` when they cannot be."""

    def stop(self, namespace: str, apps: Sequence[str]) -> Mapping[str, int]:
        """Scale them to zero, wait for their pods to go, and return the replicas each had."""

    def start(self, namespace: str, replicas: Mapping[str, int]) -> None:
        """Scale them back and wait until ready."""


class AppsByHand:
    """No cluster: workloads are stopped by the user, who says so with ``--apps-stopped``."""

    def __init__(self, *, stopped: bool = False) -> None:
        self._stopped = stopped

    def check(self, namespace: str, apps: Sequence[str]) -> str:
        """See ``Apps.check``."""
        if not apps:
            return "no workloads are configured for this database"
        names = ", ".join(apps)
        if not self._stopped:
            scale = "; ".join(f"kubectl -n {namespace} scale {app} --replicas=0" for app in apps)
            raise UsageError(
                f"{names} would have to be stopped, and Backstay has no way to do it from here",
                hint=f"Stop them ({scale}) and add --apps-stopped. Nothing has been changed.",
            )
        return f"{names}: stopped by you"

    def stop(self, namespace: str, apps: Sequence[str]) -> Mapping[str, int]:
        """Nothing to do: they are stopped."""
        self.check(namespace, apps)
        return {}

    def start(self, namespace: str, replicas: Mapping[str, int]) -> None:
        """Nothing to do: the user starts them."""

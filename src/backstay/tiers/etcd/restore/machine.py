"""Which machine a restore is of.

Its journal is in a store that all servers share, the paths in its plan are the same on each of them, and what was moved
is known by inodes: on another server nothing would look as it did, and a database that is live would be moved aside.
"""

import hmac

from backstay.core.errors import RestoreError
from backstay.core.model import Plan
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.restore.services import System

PURPOSE = b"backstay restore"


def known_as(system: System) -> str:
    """For ``Plan.details["machine"]``: a digest of the machine's id, which itself is to be shown to nobody
    (machine-id(5)); the host name where it has none."""
    try:
        found = (system.root / "etc/machine-id").read_text().strip()
    except OSError:
        found = ""
    return hmac.digest(found.encode(), PURPOSE, "sha256").hex()[:32] if found else system.hostname


def check_machine(plane: ControlPlane, plan: Plan, system: System) -> None:
    """Whether the plan was made on this machine. Raises ``RestoreError``.

    Both the machine and its node must be the same, for machines that were cloned share an id. A plan of a version that
    noted no machine is known by its node.
    """
    node, here = plan.details["node"], known_as(system)
    if node == plane.node and plan.details.get("machine", here) == here:
        return
    this = plane.node if node != plane.node else f"another of the same name, {node}"
    raise RestoreError(
        f"the restore of {plan.target} begun {plan.details['stamp']} belongs to {node}; this machine is {this}",
        hint=f"Run this on {node}. Nothing was changed on this machine. If {node} is lost for good, remove the journal "
        f"restores/{plan.target}/{plan.details['stamp']}.json from the store, and begin a new restore.",
        elsewhere=True,
    )

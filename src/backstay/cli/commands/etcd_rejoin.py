"""``backstay etcd rejoin``."""

from typing import Annotated

from cyclopts import Parameter

from backstay.cli.act import show_and_ask, tell
from backstay.cli.commands.restore_options import Confirm
from backstay.cli.session import Given
from backstay.core.errors import UsageError
from backstay.core.units import format_stamp


def rejoin(
    *,
    dry_run: Annotated[bool, Parameter(alias="--plan", help="Show the plan: steps, and what is kept.")] = False,
    confirm: Confirm = None,
    resume: Annotated[bool, Parameter(help="Go on with a run on this server that was cut short.")] = False,
    rollback: Annotated[bool, Parameter(help="Put the old database back, and start with it.")] = False,
    session: Given,
) -> int:
    """On each other server of k3s or RKE2, after one of them was restored: its database of before is moved
    aside (never removed: its local snapshots are in it), it is started again, and joins the restored
    cluster; then it gets its local snapshots back. Run as root on that server; no store is needed.

    Examples:
      backstay etcd rejoin --plan
      backstay etcd rejoin

    Exit status: 0 a member again; 4 declined; 2 usage or configuration; 1 failed; 130 interrupted.
    """
    if resume and rollback:
        raise UsageError("--resume and --rollback exclude each other")
    session.output.lines = True
    with session.app() as app:
        tier = app.etcd_tier
        plan = tier.unfinished_rejoin() if resume or rollback else tier.plan_rejoin(format_stamp(session.now()))
        if not (resume or rollback) and not show_and_ask(session, plan, dry_run=dry_run, confirm=confirm):
            return 0
        with session.progress(str(plan.target)) as progress:
            outcome = tier.rejoin(plan, progress, back=rollback)
    tell(session, outcome)
    return 0

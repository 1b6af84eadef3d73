"""Remove what restores of a target put aside: the data that was live before, and what was never swapped in."""

from collections.abc import Callable, Sequence

from backstay.catalog import journal as journals
from backstay.core.errors import RestoreError
from backstay.core.model import Outcome, Plan, Progress, Step, Target
from backstay.core.units import counted, format_size
from backstay.jobs.context import Context
from backstay.tiers.base import Leftover

KINDS = {
    "before": "the live data that a restore replaced",
    "restore": "what a restore made and did not put in place",
    "undone": "what had been restored and was taken back",
    "certificates": "the certificates that were live before a restore",
    "side": "a copy of some tables",
    "drill": "what a drill that was cut short has left",
}


def plan(context: Context, target: Target) -> Plan:
    """What would be removed, with sizes; read-only. Raises what the tier raises when it cannot be asked."""
    found = list(context.tier(target).leftovers(target))
    size = sum(leftover.size_bytes for leftover in found)
    what = f"remove {counted(len(found), 'leftover')}, {format_size(size)}" if found else "nothing to remove"
    return Plan(
        action="cleanup",
        target=target,
        title=f"Clean up after restores of {target}: {what}",
        steps=tuple(
            Step("remove", f"{one.name}, {format_size(one.size_bytes)}", KINDS.get(one.kind, one.kind)) for one in found
        ),
        notes=("What is removed here cannot be brought back, except from a backup.",) if found else (),
        details={"remove": [one.name for one in found], "size_bytes": size},
        confirm=str(target) if found else "",
    )


def run(context: Context, plan: Plan, progress: Progress) -> Outcome:
    """Remove what the plan says and is still there, under the lease, so that no restore is using it.

    Raises ``LeaseHeld``; ``RestoreError`` when a restore was cut short, which may still need what it put aside.
    """
    target, started = plan.target, context.clock()
    store = context.catalog(target).store
    with context.lease(store, target, "cleanup") as lease:
        for record in journals.unfinished(store, target):
            if record.needs_a_person:
                raise RestoreError(
                    f"a restore of {target} begun {record.stamp} was cut short, and may need what it put aside",
                    hint=f"`backstay restore {target} --resume` goes on with it, `--rollback` undoes it. "
                    "Nothing was removed.",
                )
        removed = _remove(context, plan, lease.check, progress)
    size = sum(one.size_bytes for one in removed)
    return Outcome(
        target=target,
        ok=True,
        message=f"removed {counted(len(removed), 'leftover')} kept by restores of {target}, {format_size(size)}",
        duration_seconds=context.clock() - started,
        facts={"removed": [one.name for one in removed], "freed_bytes": size},
    )


def _remove(context: Context, plan: Plan, check: Callable[[], None], progress: Progress) -> Sequence[Leftover]:
    tier, target = context.tier(plan.target), plan.target
    planned = set(plan.details["remove"])
    found = [leftover for leftover in tier.leftovers(target) if leftover.name in planned]
    progress.phase("removing")
    for leftover in found:
        check()
        progress.note(leftover.name)
        tier.remove_leftover(target, leftover.name)
    return found

"""What a restore of objects would do, found out by reading only and by asking the API server without effect."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from backstay.core.errors import UsageError
from backstay.core.model import Backup, Plan, Step
from backstay.core.units import counted, format_age, format_count, format_duration, listed
from backstay.tiers.base import RestoreRequest
from backstay.tiers.objects.archive.spooled import Spooled
from backstay.tiers.objects.change.transform import Transform
from backstay.tiers.objects.live import live_objects
from backstay.tiers.objects.restore.chosen import Chosen
from backstay.tiers.objects.restore.order import LAST, REST, Wave
from backstay.tiers.objects.restore.request import Options, Policy, options_of
from backstay.tiers.objects.restore.served import Served
from backstay.tiers.objects.restore.survey import LISTED, Action, Survey
from backstay.tiers.objects.restore.tally import called
from backstay.tiers.objects.settings import Schedule, World

WORDS = {
    Action.CREATE: "to create",
    Action.CHANGE: "to change",
    Action.RECREATE: "to delete and create",
    Action.UNCHANGED: "the same already",
    Action.SKIP: "left out",
    Action.CONFLICT: "refused",
}
REASONS = 8  # reasons that a plan has a note for


def plan_restore(
    schedule: Schedule,
    world: World,
    backup: Backup,
    request: RestoreRequest,
    opened: Callable[[], AbstractContextManager[Spooled]],
) -> Plan:
    """The plan for restoring ``backup`` into the cluster. Changes nothing; new and changed objects are given to the API
    server as a dry run, so schemas, quotas and admission have their say.

    ``details``: ``options`` and ``stamp`` are what the run goes by; ``counts``, ``kinds`` and ``objects`` (at most
    2,000, the ones to look at first; ``objects_total`` counts all) are for showing.

    ``confirm`` is the target's name when something that is there could be changed or deleted. Objects that are only
    added need none: nothing is lost by it, and what was made can be found by its label.

    Raises ``UsageError`` for what was asked wrongly, ``ClusterError`` where the cluster cannot be read.
    """
    options = options_of(request.options)
    cluster = world.cluster()
    served = Served(cluster)
    with opened() as archive, live_objects(world.spool) as live:
        chosen = Chosen(options, archive, served.kinds)
        _check_targets(options, chosen)
        survey = Survey(cluster, options, chosen, served, Transform(options, chosen, request.stamp), live)
        waves = survey.look()
    counts = survey.counts
    touches = counts[Action.CHANGE] + counts[Action.RECREATE] + counts[Action.UNCHANGED] + counts[Action.CONFLICT]
    age = format_age(backup.finished_at, request.now)
    return Plan(
        action="restore",
        target=schedule.target,
        title=f"Restore {backup.id} ({age}) into {cluster.url}, {cluster.version()}",
        steps=tuple(_steps(waves, survey, options)),
        notes=tuple(_notes(survey, options)),
        details=_details(backup, request, options, survey),
        confirm=str(schedule.target) if options.existing is not Policy.SKIP and touches else "",
    )


def _check_targets(options: Options, chosen: Chosen) -> None:
    """Objects of two namespaces would meet in one: half of them would be taken for the others."""
    if not options.namespace_map:
        return
    targets: dict[str, list[str]] = {}
    for name in sorted(chosen.namespaces()):
        targets.setdefault(options.namespace_map.get(name, name), []).append(name)
    for target, names in targets.items():
        if len(names) > 1:
            raise UsageError(
                f"the namespaces {listed(names)} of the backup would all go into {target}",
                hint="Map each to another name, leave one out, or restore one after the other.",
            )


def _details(backup: Backup, request: RestoreRequest, options: Options, survey: Survey) -> dict[str, Any]:
    counts = survey.counts
    return {
        "stamp": request.stamp,
        "backup": backup.id,
        "options": options.as_data(),
        "counts": {action.value: counts[action] for action in Action},
        "kinds": {name: dict(counts) for name, counts in sorted(survey.kinds.items())},
        "objects": [line.as_data() for line in survey.told()],
        "objects_total": sum(counts.values()),
    }


def _steps(waves: list[Wave], survey: Survey, options: Options) -> list[Step]:
    steps = [Step("fetch and check", "the archive of objects, laid out in the spool folder")]
    for wave in waves:
        found = {name: survey.kinds[name] for name in wave.resources if name in survey.kinds}
        counts = {action: sum(kind[action] for kind in found.values()) for action in Action}
        words = ", ".join(f"{format_count(number)} {WORDS[action]}" for action, number in counts.items() if number)
        if words:
            note = f"{counted(len(found), 'kind')}" if wave.name in {REST, LAST} else ""
            steps.append(Step(wave.name, words, note))
    if options.wait_seconds:
        steps.append(Step("wait", f"up to {format_duration(options.wait_seconds)} until workloads are ready"))
    return steps


def _notes(survey: Survey, options: Options) -> list[str]:
    counts = survey.counts
    notes = [_summary(survey, options)]
    for reason, number in survey.reasons.most_common(REASONS):
        notes.append(f"{counted(number, 'object')}: {reason}.")
    if (more := len(survey.reasons) - REASONS) > 0:
        notes.append(f"And {counted(more, 'reason')} more; --json lists them.")
    refused = [line for line in survey.told() if line.action is Action.CONFLICT]
    notes += [
        f"Refused: {called(line.resource, line.namespace, line.name)}: {line.reason}" for line in refused[:REASONS]
    ]
    if survey.undried:
        words = "could not be tried beforehand: their namespace or kind is not there yet, or the live one must go first"
        notes.append(f"{counted(survey.undried, 'object')} {words}.")
    if counts[Action.RECREATE]:
        notes.append("What an operator holds for a custom resource (data, too) may go with it when it is deleted.")
    if options.namespace_map:
        pairs = [f"{old} to {new}" for old, new in sorted(options.namespace_map.items())]
        notes.append(f"Namespaces: {listed(pairs)}.")
    if sum(counts.values()) > LISTED:
        notes.append(f"--json lists {format_count(LISTED)} of {format_count(sum(counts.values()))} objects.")
    return notes


def _summary(survey: Survey, options: Options) -> str:
    counts = survey.counts
    total = counted(sum(counts.values()), "object")
    parts = [f"{format_count(counts[action])} {WORDS[action]}" for action in Action if counts[action]]
    kept = {
        Policy.SKIP: "What is there stays as it is.",
        Policy.UPDATE: "What is there and differs becomes as in the backup.",
        Policy.RECREATE: "What is there and differs is deleted and made again.",
    }
    return f"{total} of the backup: {', '.join(parts) or 'nothing to do'}. {kept[options.existing]}"

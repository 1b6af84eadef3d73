"""``backstay diff``."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from backstay.app import App
from backstay.cli import values
from backstay.cli.commands.restore_options import Identity
from backstay.cli.help import command
from backstay.cli.output import Output, Style, clean
from backstay.cli.session import Given
from backstay.core.errors import UsageError
from backstay.core.model import Backup, TierKind
from backstay.core.units import counted
from backstay.jobs.transfer import source_of

if TYPE_CHECKING:
    from backstay.tiers.objects.difference import Difference

MARKS = {"added": ("+", Style.GOOD), "removed": ("-", Style.BAD), "changed": ("~", Style.WARN)}
VALUE_SHOWN = 60


def diff(
    backup: Annotated[str, Parameter(help="objects/daily for the newest complete one, or ...@20260211-154344.")],
    newer: Annotated[str | None, Parameter(help="Another backup, in place of the cluster as it is now.")] = None,
    /,
    *,
    identity: Identity = None,
    session: Given,
) -> int:
    """What changed in the cluster since a backup of its objects, or between two backups: objects that
    were added, removed or changed, field by field, without what the cluster sets by itself. Values of
    Secrets are never shown. Reads only.

    Examples:
      backstay diff objects/daily
      backstay diff objects/daily@20260211-020000 objects/daily@latest
      backstay diff objects/daily --json

    Exit status: 0, changes or not; 1 no such backup, or the cluster cannot be reached; 10 store
    unreachable; 12 cannot decrypt; 13 damaged in the store.
    """
    output = session.output
    counts: dict[str, int] = dict.fromkeys(MARKS, 0)
    with session.app(identity=values.given_secret("--identity", identity)) as app, ExitStack() as stack:
        before = _objects(app, backup)
        after = _objects(app, newer) if newer else None
        sources = [
            source_of(app.context, one, app.context.catalogs.holding(one).store) for one in (before, after) if one
        ]
        found = stack.enter_context(app.objects_tier.changes(sources[0], sources[1] if after else None))
        fields = []
        for one in found:
            counts[one.change] += 1
            if output.as_json:
                fields.append(_fields(one))
            else:
                output.data("\n".join(_lines(one, output)))
    until = after.id if after else "the cluster now"
    if output.as_json:
        output.document({"from": before.id, "to": after.id if after else None, "counts": counts, "changes": fields})
    else:
        words = ", ".join(f"{count:,} {word}" for word, count in counts.items())
        output.say(f"{before.id} to {until}: {words}" if any(counts.values()) else f"{before.id} to {until}: no change")
    return 0


def _objects(app: App, name: str) -> Backup:
    found = app.context.catalogs.find(name)
    if found.target.tier is not TierKind.OBJECTS:
        raise UsageError(
            f"{found.id} is not a backup of Kubernetes objects", hint="`backstay list objects` shows those."
        )
    return found


def _lines(one: "Difference", output: Output) -> Iterator[str]:
    mark, style = MARKS[one.change]
    where = f"{one.namespace}/{one.name}" if one.namespace else one.name
    yield output.paint(f"{mark} {one.resource} {where}", style)
    for change in one.fields:
        yield f"    {change.path}: {_shown(change.before)} -> {_shown(change.after)}"


def _shown(value: Any) -> str:
    import json

    if value is None:
        return "(not set)"
    text = clean(json.dumps(value, ensure_ascii=False, sort_keys=True))
    return text if len(text) <= VALUE_SHOWN else f"{text[:VALUE_SHOWN]}... ({counted(len(text), 'character')})"


def _fields(one: "Difference") -> dict[str, Any]:
    return {
        "change": one.change,
        "resource": one.resource,
        "namespace": one.namespace or None,
        "name": one.name,
        "fields": [{"path": each.path, "before": each.before, "after": each.after} for each in one.fields],
    }


app = command(diff, usage="diff BACKUP [BACKUP] [OPTIONS]")

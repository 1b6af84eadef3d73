"""``backstay restore`` and ``backstay restore cleanup``."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from backstay.app import App
from backstay.cli.act import show_and_ask, tell
from backstay.cli.commands.restore_objects import NOTHING_OF_OBJECTS, OfObjects
from backstay.cli.commands.restore_options import (
    CONFIGURED,
    CONFIGURED_SERVER,
    EVERYTHING,
    NO_WISHES,
    Confirm,
    OfEtcd,
    Server,
    What,
    Where,
)
from backstay.cli.folders import folder_opener
from backstay.cli.help import command
from backstay.cli.session import Given, Session
from backstay.core.errors import Incomplete, Interrupted, UsageError
from backstay.core.model import Backup, Plan, Target
from backstay.jobs import cleanup as cleanup_job
from backstay.jobs import localfile
from backstay.jobs import restore as job

STOPPED = "Live data is as it was, unless the swap had begun; the journal knows. "


def restore(
    backup: Annotated[
        str | None, Parameter(help="postgres/cardboard for the newest complete one, or ...@20260211-154344.")
    ] = None,
    /,
    *,
    from_schedule: Annotated[
        str | None, Parameter(metavar="NAME", help="In place of BACKUP: the newest complete one of objects/NAME.")
    ] = None,
    dry_run: Annotated[
        bool, Parameter(alias="--plan", help="Show the plan: steps, what would be lost, what is kept.")
    ] = False,
    confirm: Confirm = None,
    what: Annotated[What, Parameter(name="*")] = EVERYTHING,
    of_etcd: Annotated[OfEtcd, Parameter(name="*")] = NO_WISHES,
    of_objects: Annotated[OfObjects, Parameter(name="*")] = NOTHING_OF_OBJECTS,
    where: Annotated[Where, Parameter(name="*")] = CONFIGURED,
    resume: Annotated[bool, Parameter(help="Go on with the restore of this target that was cut short.")] = False,
    rollback: Annotated[bool, Parameter(help="Undo the restore of this target that was cut short.")] = False,
    session: Given,
) -> int:
    """Restore a backup. It is loaded into a database beside the live one and compared with its
    manifest; only then, and after you typed the target's name, do the two change places by a rename.
    The apps that use it are stopped for that moment, and have the replicas they had again afterwards.
    The database that was live is kept until `backstay restore cleanup`. Whatever fails before the
    rename leaves live data untouched; what was killed is finished by --resume or undone by --rollback.
    A backup of etcd is restored on a server of the control plane, as root, with the stock tool of the
    distribution: the snapshot is fetched and proven, then etcd is stopped, restored and started again.
    Kubernetes objects are made again in the order they need each other; what is there is left alone
    unless --existing says otherwise, and nothing else is deleted.

    Examples:
      backstay restore postgres/cardboard --dry-run
      backstay restore postgres/cardboard@20260211-154344
      backstay restore postgres/cardboard --to cardboard_copy
      backstay restore postgres/cardboard --table public.orders
      backstay restore postgres/cardboard --from-file cardboard-20260211-154344.sql.gz
      backstay restore etcd --plan
      backstay restore objects/daily --include-namespaces shop --namespace-map shop:shop-copy --plan

    Exit status: 0 restored; 3 not all objects were, or what uses the database is not ready; 4 declined;
    2 usage or configuration; 10 store unreachable; 11 another run is at work; 12 cannot decrypt; 13
    damaged in the store; 1 anything else; 130 interrupted.
    """
    _check(what, dry_run=dry_run, resume=resume, rollback=rollback)
    backup = _which(backup, from_schedule)
    session.output.lines = True
    try:
        with session.app(**where.choices(), **of_etcd.choices()) as app:
            if resume or rollback:
                return _finish(session, app, backup, rollback=rollback)
            with _source(session, app, backup, what) as (found, place, details):
                tier = found.target.tier
                options = {**what.options(tier), **of_etcd.options(tier), **of_objects.options(tier)}
                plan = job.plan(app.context, found, options, place)
                plan = replace(plan, details={**plan.details, **details})
                return _run(session, app, plan, found, place, dry_run=dry_run, confirm=confirm)
    except KeyboardInterrupt:
        if rollback:
            hint = "Run --rollback again: it goes on where it stopped."
            raise Interrupted("the rollback was interrupted", hint=hint) from None
        hint = f"{STOPPED}Run it again; where it must, it says how to --resume or --rollback."
        raise Interrupted("the restore was interrupted", hint=hint) from None


def cleanup(
    target: Annotated[str, Parameter(help="postgres/cardboard, or cardboard.")],
    /,
    *,
    dry_run: Annotated[bool, Parameter(help="Only list what is there, with sizes.")] = False,
    confirm: Confirm = None,
    server: Annotated[Server, Parameter(name="*")] = CONFIGURED_SERVER,
    session: Given,
) -> int:
    """Remove what restores of a target have kept: databases (of etcd: folders) that were live before, and
    what was loaded and never put in place. It lists them with sizes, and asks for the target's name.

    Examples:
      backstay restore cleanup postgres/cardboard --dry-run
      backstay restore cleanup postgres/cardboard

    Exit status: 0 removed, or nothing to remove; 4 declined; 11 a restore is at work; 1 failed.
    """
    session.output.lines = True
    with session.app(**server.choices()) as app:
        plan = cleanup_job.plan(app.context, _one_target(app, target))
        if not show_and_ask(session, plan, dry_run=dry_run, confirm=confirm):
            return 0
        with session.progress(str(plan.target)) as progress:
            outcome = cleanup_job.run(app.context, plan, progress)
    tell(session, outcome)
    return 0


def _which(backup: str | None, schedule: str | None) -> str:
    if backup is None and schedule is None:
        raise UsageError("`backstay restore` needs BACKUP", hint="`backstay restore --help` shows what it takes.")
    if backup is not None and schedule is not None:
        raise UsageError("BACKUP and --from-schedule exclude each other")
    return backup or f"objects/{schedule}"


def _check(what: What, *, dry_run: bool, resume: bool, rollback: bool) -> None:
    if resume and rollback:
        raise UsageError("--resume and --rollback exclude each other")
    if (resume or rollback) and (dry_run or what != EVERYTHING):
        word = "--resume" if resume else "--rollback"
        raise UsageError(
            f"{word} goes on as the restore was planned, and takes no other choices",
            hint=f"Leave the others out, except --server, --password, --identity and --apps-stopped with {word}.",
        )
    if what.manifest and not what.from_file:
        raise UsageError("--manifest goes with --from-file")


@contextmanager
def _source(session: Session, app: App, name: str, what: What) -> Iterator[tuple[Backup, job.Place, dict[str, str]]]:
    """The backup, where it is read, and what the plan must keep to find it again."""
    if what.from_file is None:
        backup = app.context.catalogs.find(name)
        yield backup, job.place_of(app.context, backup), {}
        return
    file = localfile.local_file(what.from_file, what.manifest)
    backup = localfile.backup_of(file, _one_target(app, name.partition("@")[0]))
    with localfile.place_of(file, app.state_folder, folder_opener(session)) as place:
        yield backup, place, file.details


def _run(
    session: Session, app: App, plan: Plan, backup: Backup, place: job.Place, *, dry_run: bool, confirm: str | None
) -> int:
    if not show_and_ask(session, plan, dry_run=dry_run, confirm=confirm):
        return 0
    with session.progress(str(plan.target)) as progress:
        outcome = job.run(app.context, plan, backup, place, progress)
    tell(session, outcome)
    return 0 if outcome.ok else Incomplete.exit_code


def _finish(session: Session, app: App, name: str, *, rollback: bool) -> int:
    """Go on with a restore, or undo it, from its journal."""
    target = _one_target(app, name.partition("@")[0])
    opener = folder_opener(session)
    with ExitStack() as stack:

        def place_for(plan: Plan, backup_id: str) -> tuple[Backup, job.Place]:
            session.output.say(f"resuming: {plan.title}")
            file = localfile.of_plan(plan)
            if file is None:
                backup = app.context.catalogs.find(backup_id)
                return backup, job.place_of(app.context, backup)
            place = stack.enter_context(localfile.place_of(file, app.state_folder, opener))
            return localfile.backup_of(file, target), place

        state = stack.enter_context(localfile.state_of_unfinished(app.context, target, app.state_folder, opener))
        with session.progress(str(target)) as progress:
            if rollback:
                outcome = job.rollback(app.context, target, state, progress)
            else:
                outcome = job.resume(app.context, target, place_for, state, progress)
    tell(session, outcome)
    return 0 if outcome.ok else Incomplete.exit_code


def _one_target(app: App, name: str) -> Target:
    found = app.targets([name])
    if len(found) != 1:
        raise UsageError(f"{name} is a tier, and one target is needed", hint=f"For instance {found[0]}.")
    return found[0]


app = command(restore, usage="restore BACKUP [OPTIONS]\n       backstay restore cleanup TARGET [OPTIONS]")
app.command(command(cleanup, usage="restore cleanup TARGET [OPTIONS]"))

"""``backstay check``."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from zoneinfo import ZoneInfo

from backstay.app import App
from backstay.cli.help import command
from backstay.cli.output import Output
from backstay.cli.session import Given
from backstay.cli.words import SEVERITIES, source_words
from backstay.config.load import Loaded
from backstay.core.errors import BackstayError
from backstay.core.model import Severity
from backstay.core.schedule import overdue
from backstay.core.units import counted, format_span, format_time

GRACE = timedelta(hours=1)  # for snapshots that k3s takes by itself


@dataclass(frozen=True)
class Row:
    """One thing that was looked at; ``error`` is what is wrong with it."""

    severity: Severity
    subject: str
    message: str
    error: BackstayError | None = None


def check(*, session: Given) -> int:
    """Check the configuration, every store and every database: is each valid, reachable, and fit to be
    backed up, with a pg_dump that is new enough? Writes nothing anywhere. What is valid but perhaps
    not meant is a warning.

    Examples:
      backstay check
      backstay check --json

    Exit status: 0 all is well, warnings or not; 2 the configuration is not valid; 10 only stores, and
    1 anything else, that cannot be used.
    """
    output = session.output
    loaded = session.load()
    rows: list[Row] = []
    with session.app(loaded) as app:
        for row in chain(_configuration(loaded), _stores(app), _targets(app), _own_snapshots(app, session.now())):
            rows.append(row)
            if not output.as_json and not (output.quiet and row.severity is Severity.OK):
                output.data(_line(row, output))
    if output.as_json:
        output.document({"ok": _exit_code(rows) == 0, "findings": [_fields(row) for row in rows]})
    return _exit_code(rows)


def _configuration(loaded: Loaded) -> Iterator[Row]:
    from backstay.config.rules import warnings

    databases = len(loaded.config.postgres_databases())
    stores = len(loaded.config.stores)
    words = f"valid: {counted(stores, 'store')}, {counted(databases, 'database')}"
    words += ", etcd" if loaded.config.etcd else ""
    schedules = len(loaded.config.resolved_objects())
    words += f", {counted(schedules, 'schedule')} of objects" if schedules else ""
    yield Row(Severity.OK, str(loaded.path), words)
    for text in [*warnings(loaded.config), *loaded.config.unacted()]:
        subject, _, message = text.partition(": ")
        yield Row(Severity.WARNING, subject, message)


def _stores(app: App) -> Iterator[Row]:
    """Each is asked for the mark that says whose backups it holds."""
    for catalog in app.context.catalogs:
        subject = f"store {catalog.name}"
        try:
            catalog.ensure_format(create=False)
        except BackstayError as error:
            yield Row(Severity.ERROR, subject, error.message, error)
        else:
            yield Row(Severity.OK, subject, f"reachable at {catalog.store.describe()}")


def _targets(app: App) -> Iterator[Row]:
    for target in app.targets():
        try:
            found = app.context.tier(target).preview(target)
        except BackstayError as error:
            yield Row(Severity.ERROR, str(target), error.message, error)
        else:
            title = str(found["title"]).removeprefix(str(target)).strip()
            dump = [f"pg_dump {found['pg_dump']}"] if "pg_dump" in found else []
            yield Row(Severity.OK, str(target), ", ".join([title, *source_words(found), *dump]))
            yield from (Row(Severity.WARNING, str(target), words) for words in found.get("trouble", ()))


def _own_snapshots(app: App, now: datetime) -> Iterator[Row]:
    """Whether k3s still takes its own snapshots on this server, where the configuration says that it should."""
    etcd = app.loaded.config.etcd
    watched = etcd.local_snapshots if etcd else None
    if app.etcd is None or watched is None or watched.schedule is None or not app.etcd.takes_snapshots():
        return
    subject, zone = f"{app.etcd.plane.target}", ZoneInfo(app.loaded.config.timezone)
    found, troubles = app.etcd.own_snapshots()
    yield from (Row(Severity.WARNING, subject, words) for words in troubles)
    here = [one.taken_at for one in found if one.taken_at and not one.error and one.location.startswith("file://")]
    newest = max(here, default=None)
    missed = overdue(newest, watched.schedule, zone, now, GRACE)
    age = f"the newest is {format_span(now - newest)} old" if newest else "there are none"
    if missed is not None:
        words = f"k3s takes its own snapshots no more: {age}, and one was due at {format_time(missed)}"
        yield Row(Severity.WARNING, subject, words)
    else:
        yield Row(Severity.OK, subject, f"k3s takes its own snapshots: {age}")


def _line(row: Row, output: Output) -> str:
    line = f"{output.paint(f'{row.severity.value:<7}', SEVERITIES[row.severity])}   {row.subject}: {row.message}"
    hint = row.error.hint if row.error else ""
    return line + (f"\n          {hint}" if hint else "")


def _fields(row: Row) -> dict[str, object]:
    return {
        "severity": row.severity.value,
        "subject": row.subject,
        "message": row.message,
        "code": row.error.code if row.error else None,
        "hint": row.error.hint if row.error else None,
    }


def _exit_code(rows: list[Row]) -> int:
    """The one code of all that is wrong, where it is one."""
    codes = {row.error.exit_code for row in rows if row.error}
    return codes.pop() if len(codes) == 1 else BackstayError.exit_code if codes else 0


app = command(check, usage="check [OPTIONS]")

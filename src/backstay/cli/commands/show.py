"""``backstay show``."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from backstay.catalog.proofs import standing
from backstay.cli.help import command
from backstay.cli.jsonview import backup_document, level_of
from backstay.cli.output import Output, Style
from backstay.cli.session import Given
from backstay.cli.table import Column, pairs, table
from backstay.cli.words import contents_words
from backstay.core.model import Backup, Proof, State
from backstay.core.units import counted, format_count, format_duration, format_size, format_time
from backstay.jobs.refuted import refuted

TABLES_SHOWN = 12
ARTIFACTS_SHOWN = 12  # the largest
PROOFS_SHOWN = 5


def show(
    backup: Annotated[str, Parameter(help="postgres/cardboard@20260211-154344, or any unique beginning of it.")],
    /,
    *,
    session: Given,
) -> int:
    """Show one backup: what it holds, how far it is proven, what is missing, and the steps to restore
    it by hand, with no Backstay at all. Without a stamp, or with @latest, the newest complete one.

    Examples:
      backstay show postgres/cardboard
      backstay show cardboard@20260211
      backstay show cardboard@latest --json

    Exit status: 0; 1 when there is no such backup; 10 store unreachable.
    """
    with session.app() as app:
        found = app.context.catalogs.find(backup)
        catalog = app.context.catalogs.holding(found)
        every = [proof for proof in catalog.proofs.read(found.target) if proof.backup_id == found.id]
        url = catalog.store.describe()
    proofs = sorted(every, key=lambda proof: proof.at)
    stands, against = standing(proofs).get(found.id), refuted(proofs).get(found.id)
    if session.output.as_json:
        session.output.document(backup_document(found, proofs, stands, against))
        return 0
    blocks = [_facts(found, stands, against, url), _tables(found, session.output)]
    blocks += [_list("Left out", found.omissions), _list("Warnings", found.warnings)]
    blocks += [_artifacts(found, session.output), _proofs(proofs), _by_hand(found)]
    text = "\n\n".join(block for block in blocks if block)
    session.output.data(f"{session.output.paint(found.id, Style.STRONG)}\n{text}")
    return 0


def _facts(backup: Backup, proof: Proof | None, against: Proof | None, url: str) -> str:
    taken = backup.finished_at - backup.started_at
    state = "foreign: written by something else" if backup.state is State.FOREIGN else backup.state.value
    times = f"{format_time(backup.started_at)}, in {format_duration(taken)}"
    level = level_of(proof).word
    proven = f"{level}, {format_time(proof.at)} by {proof.kind}" if proof else f"{level}, not read back yet"
    if against:
        proven = f"NOT {against.level.word}, {format_time(against.at)} by {against.kind}"
    entries = [
        ("state", state),
        ("level", proven),
        ("made", format_time(backup.started_at) if backup.state is State.FOREIGN else times),
        ("shows", format_time(backup.point_in_time) if backup.point_in_time else "a time that is not known"),
        ("store", f"{backup.store}, {url}"),
        ("size", format_size(backup.size_bytes)),
        ("source", ", ".join(_source(backup.source))),
        ("contents", ", ".join(_contents(backup))),
        ("tools", ", ".join(f"{name} {version}" for name, version in backup.tools.items())),
    ]
    return pairs([(name, value) for name, value in entries if value], "  ")


def _source(source: Mapping[str, Any]) -> Iterator[str]:
    """The plain facts of the source, as the tier names them."""
    for name, value in source.items():
        if value is True:
            yield name.replace("_", " ")
        elif isinstance(value, str | int) and value is not False:
            yield f"{name.replace('_', ' ')} {value}"


def _contents(backup: Backup) -> Iterator[str]:
    """Rows and tables, then what else is counted."""
    if words := contents_words(backup):
        yield words
    sequences, large = backup.contents.get("sequences"), backup.contents.get("large_objects")
    if isinstance(sequences, dict) and sequences:
        yield counted(len(sequences), "sequence")
    if isinstance(large, int) and large:
        yield counted(large, "large object")
    related = backup.contents.get("related")
    if isinstance(related, int) and related:
        yield f"{format_count(related)} of them in no namespace and needed by others"
    extensions = backup.contents.get("extensions")
    if isinstance(extensions, dict):
        yield from (f"{name} {version}" for name, version in extensions.items())


def _tables(backup: Backup, output: Output) -> str:
    """The largest tables, by rows."""
    tables = backup.contents.get("tables")
    found = tables if isinstance(tables, dict) else {}
    rows = {name: entry["rows"] for name, entry in found.items() if isinstance(entry, dict) and "rows" in entry}
    largest = sorted(rows.items(), key=lambda entry: (-entry[1], entry[0]))[:TABLES_SHOWN]
    if not largest:
        return ""
    columns = (Column("TABLE"), Column("ROWS", right=True), Column("SIZE", right=True))
    sizes = {name: found[name].get("size_bytes") for name, _ in largest}
    text = table(
        columns,
        [(name, format_count(n), format_size(sizes[name]) if sizes[name] is not None else "-") for name, n in largest],
        output.paint,
    )
    more = len(rows) - len(largest)
    return text + (f"\nand {counted(more, 'smaller table')}; --json has all" if more > 0 else "")


def _artifacts(backup: Backup, output: Output) -> str:
    columns = (Column("ARTIFACT"), Column("SIZE", right=True), Column("PLAIN", right=True), Column("KEY"))
    largest = sorted(backup.artifacts, key=lambda artifact: artifact.size_bytes, reverse=True)[:ARTIFACTS_SHOWN]
    rows = [(one.role, _size(one.size_bytes), _size(one.plain_size_bytes), one.key) for one in largest]
    sums = [(one.role, f"sha256 {one.sha256}") for one in largest if one.sha256]
    more = len(backup.artifacts) - len(largest)
    blocks = [table(columns, rows, output.paint), *([pairs(sums)] if sums else [])]
    blocks += [f"and {counted(more, 'smaller artifact')}; --json has all"] if more > 0 else []
    return "\n".join(blocks)


def _size(size_bytes: int) -> str:
    return format_size(size_bytes) if size_bytes >= 0 else "-"


def _proofs(proofs: list[Proof]) -> str:
    lines = [
        f"  {format_time(proof.at)}   {proof.kind}: {proof.level.word if proof.ok else f'NOT {proof.level.word}'}, "
        f"in {format_duration(proof.duration_seconds)}"
        for proof in reversed(proofs[-PROOFS_SHOWN:])
    ]
    return "\n".join(["Proofs, newest first:", *lines]) if lines else ""


def _by_hand(backup: Backup) -> str:
    lines = [f"  {number}  {line}" for number, line in enumerate(backup.restore_by_hand, 1)]
    return "\n".join(["To restore it by hand, without Backstay:", *lines]) if lines else ""


def _list(title: str, lines: tuple[str, ...]) -> str:
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)]) if lines else ""


app = command(show, usage="show BACKUP [OPTIONS]")

"""``backstay etcd``: what is only of etcd."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from backstay.app import App
from backstay.cli import values
from backstay.cli.commands.etcd_files import files
from backstay.cli.commands.etcd_rejoin import rejoin
from backstay.cli.commands.restore_options import Identity
from backstay.cli.folders import folder_opener
from backstay.cli.help import command, group_of
from backstay.cli.output import Output, clean
from backstay.cli.session import Given, Session
from backstay.cli.table import Column, table
from backstay.core.errors import NoSuchObject, UsageError
from backstay.core.model import Backup, TierKind
from backstay.core.units import exact_time, format_age, format_count, format_size, listed
from backstay.jobs import localfile
from backstay.jobs import restore as restore_job
from backstay.jobs.transfer import source_of

if TYPE_CHECKING:
    from backstay.tiers.etcd.kube.decode import Decoded
    from backstay.tiers.etcd.kube.objects import Entry, Resource, Selected

KINDS = (Column("RESOURCE"), Column("KEYS", right=True))
OBJECTS = (
    Column("NAMESPACE"),
    Column("NAME"),
    Column("AGE", right=True),
    Column("SIZE", right=True),
    Column("REVISION", right=True, optional=1),
    Column("TROUBLE"),
)


@dataclass(frozen=True)
class Which:
    """Which objects."""

    namespace: Annotated[
        str | None, Parameter(alias="-n", metavar="NAMESPACE", help="Only in this namespace; in all without it.")
    ] = None
    whole: Annotated[
        bool, Parameter(help="All of the object, also its status and what the API server sets by itself.")
    ] = False
    at: Annotated[
        int | None, Parameter(metavar="REVISION", help="As of an earlier revision that the snapshot still has.")
    ] = None


def get(
    resource: Annotated[str | None, Parameter(help="pods, po, deployments.apps; without it, which there are.")] = None,
    name: Annotated[str | None, Parameter(help="One object, printed as YAML.")] = None,
    /,
    *,
    from_: Annotated[
        str | None, Parameter(name="--from", metavar="BACKUP", help="This backup in place of the newest.")
    ] = None,
    from_file: Annotated[
        Path | None, Parameter(metavar="FILE", help="A snapshot at hand, also one that k3s took by itself.")
    ] = None,
    which: Annotated[Which, Parameter(name="*")] = Which(),
    identity: Identity = None,
    session: Given,
) -> int:
    """Look into a snapshot of etcd, with no cluster: the kinds of object it has, those of one kind, or one
    object as YAML that `kubectl apply -f -` takes. What was deleted by mistake comes back without
    resetting anything. What the API server encrypted cannot be read here, and is said to be so.

    Examples:
      backstay etcd get
      backstay etcd get deployments -n shop
      backstay etcd get deployment web -n shop > web.yaml
      backstay etcd get secrets --from etcd@20260211-020000
      backstay etcd get po --from-file etcd-snapshot-server-1-1766000000.zip

    Exit status: 0; 1 no such backup or object, or one that cannot be read; 2 usage or configuration;
    10 store unreachable; 12 cannot decrypt; 13 damaged; 130 interrupted.
    """

    if from_ and from_file:
        raise UsageError("--from and --from-file exclude each other")
    key = values.given_secret("--identity", identity)
    with session.app(identity=key) as app, _place(session, app, from_, from_file) as (backup, place):
        source = source_of(app.context, backup, place.artifacts)
        with (
            session.progress(backup.id) as progress,
            app.etcd_tier.look_into(source, progress, which.at) as snapshot,
        ):
            if resource is None:
                show = partial(_show_kinds, snapshot.resources(), session.output)
            elif name is None:
                show = partial(_show_entries, list(snapshot.entries(resource, which.namespace)), session)
            else:
                wanted = f"{resource}/{name}" + (f" of namespace {which.namespace}" if which.namespace else "")
                one = _only(list(snapshot.objects(resource, which.namespace, name)), wanted, backup)
                show = partial(_show_object, one.resource, snapshot.read(one), which, backup, session.output)
        show()
    return 0


def _only(found: "list[Selected]", wanted: str, backup: Backup) -> "Selected":
    """The one object that is meant. Raises ``NoSuchObject``, and ``UsageError`` for several."""
    if not found:
        raise NoSuchObject(f"{backup.id} has no {wanted}", hint="Leave its name out, and all of them are listed.")
    if len(found) > 1:
        places = listed([one.resource.namespace for one in found])
        raise UsageError(f"{len(found)} namespaces have {wanted}: {places}", hint="Say which with -n.")
    return found[0]


@contextmanager
def _place(
    session: Session, app: App, text: str | None, file: Path | None
) -> "Iterator[tuple[Backup, restore_job.Place]]":
    """The backup that is meant, and where it is read from."""
    target = app.control_plane.target
    if file is None:
        backup = app.context.catalogs.find(text or str(target))
        if backup.target.tier is not TierKind.ETCD:
            raise UsageError(f"{backup.id} is not a backup of etcd", hint=f"`backstay list {target}` shows those.")
        yield backup, restore_job.place_of(app.context, backup)
        return
    local = localfile.local_file(file)
    backup = localfile.backup_of(local, target)
    with localfile.place_of(local, app.state_folder, folder_opener(session)) as place:
        yield backup, place


def _show_kinds(kinds: Mapping[str, int], output: Output) -> None:
    if output.as_json:
        output.document(dict(kinds))
        return
    rows = [(name, format_count(count)) for name, count in kinds.items()]
    output.data(table(KINDS, rows, output.paint, output.width))


def _show_entries(entries: "list[Entry]", session: Session) -> None:
    output = session.output
    if output.as_json:
        output.document([_fields(entry) for entry in entries])
        return
    if not entries:
        output.say("there are none")
        return
    now = session.now()
    rows = [
        (
            entry.resource.namespace or "-",
            entry.resource.name,
            format_age(entry.meta.created, now) if entry.meta.created else "-",
            format_size(entry.size),
            format_count(entry.mod_revision),
            f"encrypted with {entry.encrypted}" if entry.encrypted else entry.problem,
        )
        for entry in entries
    ]
    columns = OBJECTS if any(row[-1] for row in rows) else OBJECTS[:-1]
    output.data(table(columns, [row[: len(columns)] for row in rows], output.paint, output.width))


def _fields(entry: "Entry") -> dict[str, object]:
    created = entry.meta.created
    return {
        "resource": entry.resource.type,
        "namespace": entry.resource.namespace or None,
        "name": entry.resource.name,
        "uid": entry.meta.uid or None,
        "created_at": exact_time(created) if created else None,
        "size_bytes": entry.size,
        "mod_revision": entry.mod_revision,
        "encrypted": entry.encrypted,
        "problem": entry.problem or None,
    }


def _show_object(resource: "Resource", decoded: "Decoded", which: Which, backup: Backup, output: Output) -> None:
    from backstay.tiers.etcd.kube.manifest import holds_secrets, manifest

    if decoded.unknown:
        output.warn(
            f"{resource} has fields that this version does not know, and which are missing below: "
            f"{', '.join(decoded.unknown[:5])}"
        )
    if holds_secrets(decoded.object):
        output.warn(f"{resource} holds secrets: what follows is to be treated as such")
    if output.as_json:
        output.document(decoded.object)
    else:
        output.data(_printable(manifest(decoded.object, whole=which.whole, source=backup.id).yaml).rstrip())


def _printable(text: str) -> str:
    """A document without what steers a terminal, which would come out as something else: what has any (marks of the
    direction of writing, mostly) is written as JSON, which is YAML too, with these escaped."""
    if clean(text) == text:
        return text
    import yaml

    comment = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    body = json.dumps(yaml.safe_load(text), indent=2, ensure_ascii=False)
    return comment + body.translate({ord(char): f"\\u{ord(char):04x}" for char in set(body) if clean(char) != char})


app = group_of(
    "etcd",
    "Look into backups of etcd with `get` and `files`; let other servers join again after a restore with `rejoin`.",
    command(get, usage="etcd get [RESOURCE [NAME]] [OPTIONS]"),
    command(files, usage="etcd files [OPTIONS]"),
    command(rejoin, usage="etcd rejoin [OPTIONS]"),
)

"""A backup of k3s on SQLite: one moment of the live database, copied, checked, counted, then stored.

Nothing goes to the store before the copy has passed SQLite's own check and was counted. It is stored as
``<base>-<node>-<unix seconds>.sqlite`` (``.zip`` and ``.age`` behind that as configured), where snapshots of an etcd
would be. ``catalog.foreign.SnapshotNaming`` knows it by its begin as Backstay's own, and by what follows the digits
never as a snapshot. k3s on SQLite has no command for snapshots; one on etcd lists whatever is in its folder, but takes
for a restore only the file that a person names (k3s, pkg/etcd/s3), which this ending should keep anybody from; and etcd
refuses it, for there is no checksum of 32 bytes behind its pages. The metadata of a snapshot it does not get.
"""

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

from backstay.core.errors import BackstayError
from backstay.core.model import Artifact, Progress
from backstay.core.units import exact_time, format_duration
from backstay.tiers.base import Captured, File, Sink
from backstay.tiers.etcd import byhand
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.facts import Facts, read_facts
from backstay.tiers.etcd.kine.census import Census, count
from backstay.tiers.etcd.kine.database import bytes_beside, check_integrity, pragma, reading
from backstay.tiers.etcd.kine.datastore import KIND, ROLE
from backstay.tiers.etcd.kine.online import HELD_TOO_LONG, Copied, copy, require_room
from backstay.tiers.etcd.kine.rows import heading, live
from backstay.tiers.etcd.scratch import spool_folder
from backstay.tiers.etcd.serverpart import IN_SERVER_FILES, ServerPart, store_server_files
from backstay.tiers.etcd.token import BOOTSTRAP

NAME = "state.db"
READ_BYTES = 1 << 20
_UNSTORED = "Nothing was stored."
_KEYS = "SELECT count(*) FROM (SELECT max(id) AS id FROM kine GROUP BY name) JOIN kine USING (id) WHERE deleted = 0"
_LOOK = "PRAGMA integrity_check; SELECT max(id) FROM kine"


def preview(plane: ControlPlane) -> dict[str, Any]:
    """What a backup would find; raises what it would raise at its start."""
    path = plane.sqlite_file
    revision, compact_revision = heading(path)
    with reading(path) as database:
        size = int(pragma(database, "page_count")) * int(pragma(database, "page_size"))
        keys = int(database.execute(_KEYS).fetchone()[0])
    with spool_folder(plane, "look") as folder:
        require_room(folder, size)
    return {
        "title": f"{plane.target}  k3s on SQLite at {path}",
        "server": "sqlite",
        "where": str(path),
        "size_bytes": size,
        "wal_bytes": bytes_beside(path),
        "revision": revision,
        "compact_revision": compact_revision,
        "keys": keys,
        "spool": str(plane.spool),
    }


def backup(plane: ControlPlane, sink: Sink, progress: Progress) -> Captured:
    """Copy, check and store. Raises ``SourceError``, ``SnapshotDamaged`` and what the sink raises."""
    with spool_folder(plane, "kine") as folder:
        try:
            copied = copy(plane.sqlite_file, folder / NAME, progress)
            progress.phase("checking")
            check_integrity(copied.path)
            progress.phase("counting", total_bytes=copied.size_bytes)
            found = count(copied.path, plane.prefix.encode(), progress.advance)
            look = partial(live, copied.path)
            facts, sealed = read_facts(look, plane), next(look(BOOTSTRAP.encode()), None) is not None
        except BackstayError as error:
            if _UNSTORED.lower() not in error.hint.lower():
                error.hint = f"{error.hint} {_UNSTORED}".strip()
            raise
        warnings = tuple(_warnings(found, facts, copied, sealed=sealed))
        return _stored(plane, sink, progress, copied, found, facts, warnings)


def _stored(
    plane: ControlPlane,
    sink: Sink,
    progress: Progress,
    copied: Copied,
    found: Census,
    facts: Facts,
    warnings: tuple[str, ...],
) -> Captured:
    stem = f"{plane.base}-{plane.node}-{{unix}}"
    progress.phase("storing", total_bytes=copied.size_bytes)
    artifact = sink.write(File(ROLE, name=f"{stem}.sqlite"), _content(copied.path, progress))
    source = _source(plane, copied, facts)
    server = store_server_files(plane, sink, stem, {**source, "nodes": dict(facts.nodes)})
    return Captured(
        point_in_time=None,
        tools={"sqlite": sqlite3.sqlite_version},
        source=source,
        contents=_contents(found, facts, server),
        artifacts=(artifact, *server.artifacts),
        omissions=server.omissions,
        warnings=(*warnings, *server.warnings),
        restore_by_hand=tuple(by_hand(plane, artifact, server)),
    )


def _source(plane: ControlPlane, copied: Copied, facts: Facts) -> dict[str, Any]:
    found = {
        "flavor": plane.flavor.value,
        "datastore": "sqlite",
        "kubernetes_version": facts.kubernetes_version,
        "where": str(plane.sqlite_file),
        "node": plane.node,
        "cluster_uid": facts.cluster_uid,
        "servers": list(facts.servers),
        "journal_mode": copied.journal_mode,
        "wal_bytes": copied.wal_bytes,
        "held_seconds": round(copied.held_seconds, 3),
    }
    return {name: value for name, value in found.items() if value not in ("", 0)}


def _contents(found: Census, facts: Facts, server: ServerPart) -> dict[str, Any]:
    """The manifest's ``contents`` of this kind; docs/format.md describes each key."""
    ends = facts.token.expires if facts.token else None
    return {
        "kind": KIND,
        **found.facts(),
        "token_hash": facts.token_hash,
        "token_opens": facts.token.opens if facts.token else None,
        "server_files": bool(server.artifacts),
        IN_SERVER_FILES: server.has_token,
        **({"certificates_end": exact_time(ends)} if ends else {}),
    }


def _warnings(found: Census, facts: Facts, copied: Copied, *, sealed: bool) -> Iterator[str]:
    if not found.keys:
        yield "there is no key in it: has k3s ever run on this database?"
    elif not sealed:
        yield "there is no bootstrap data of the server in it: k3s would not find its certificates in this backup"
    if facts.token is not None and not facts.token.opens:
        yield f"the server token of this machine does not open this backup: {facts.token.why}"
    if copied.held_seconds > HELD_TOO_LONG:
        yield (
            f"the database was copied in {format_duration(copied.held_seconds)}: a compaction of k3s that falls into "
            "that time (there is one every 5 minutes) keeps its writers waiting until the copy is done, and its "
            "controllers give up their leases after 10 s; a faster spool folder (etcd.spool) shortens it"
        )


def by_hand(plane: ControlPlane, artifact: Artifact, part: ServerPart) -> Iterator[str]:
    """See ``Captured.restore_by_hand``; ``{sqlite}`` is the command that prints the database itself."""
    file = quote(artifact.key.rpartition("/")[2].removesuffix(".age").removesuffix(".zip"))
    db, server, unit = plane.db_dir, plane.data_dir / "server", plane.service
    yield "Needed: sqlite3 to look at it; age and the identity where a file ends in .age."
    yield f"Unpack: {{{ROLE}}} > {file}"
    yield f"Look at it: sqlite3 {file} {quote(_LOOK)}"
    yield from byhand.server_files(plane, part)
    yield f"Stop it: systemctl stop {unit}"
    yield f"mkdir -p {db}/before && mv {db}/state.db* {db}/before/"
    yield f"install -m 600 {file} {plane.sqlite_file}"
    yield (
        "Take the certificates from the backup where they differ (k3s refuses newer ones): "
        f"touch -c -d @0 {server}/tls/*ca.* {server}/tls/etcd/*ca.* {server}/tls/service.key {server}/cred/*"
    )
    yield f"With the server token of then in {plane.token_file}: systemctl start {unit}"


def _content(path: Path, progress: Progress) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            progress.advance(len(chunk))
            yield chunk

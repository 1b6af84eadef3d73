"""A backup of etcd: one member's snapshot, proven against the cluster, then stored under k3s's own names.

The snapshot lies in the spool folder while its structure is walked and its HashKV compared with every member. It goes
to the store at the same time, but nothing counts until the proof has passed: the manifest is written after it.
"""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backstay.core.errors import Interrupted, SnapshotDamaged, SourceError
from backstay.core.model import Artifact, Progress
from backstay.core.units import exact_time, format_size
from backstay.tiers.base import Captured, File, Sink
from backstay.tiers.etcd import proof
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.api.members import Chosen, choose
from backstay.tiers.etcd.api.messages import Alarm
from backstay.tiers.etcd.api.spool import Received, receive
from backstay.tiers.etcd.byhand import by_hand
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.facts import Facts, look_into, read_facts
from backstay.tiers.etcd.file.census import OTHER
from backstay.tiers.etcd.file.metabucket import heading
from backstay.tiers.etcd.file.survey import Survey, survey
from backstay.tiers.etcd.scratch import spool_folder
from backstay.tiers.etcd.serverpart import IN_SERVER_FILES, ServerPart, store_server_files

SNAPSHOT, METADATA = "snapshot", "metadata"
READ_BYTES = 1 << 20
QUOTA_WARNING = 0.8  # of the space that etcd may use; at all of it, it refuses every write


def preview(plane: ControlPlane) -> dict[str, Any]:
    """What a backup would find; raises what it would raise at its start."""
    chosen = _choose(plane)
    status = chosen.status
    return {
        "title": f"{plane.target}  etcd {status.version} at {chosen.endpoint}",
        "server": status.version,
        "where": chosen.endpoint,
        "size_bytes": status.db_size_bytes,
        "spool": str(plane.spool),
        "members": [member.name for member in chosen.members],
        "trouble": list(chosen.trouble),
    }


def backup(plane: ControlPlane, sink: Sink, progress: Progress) -> Captured:
    """Take, prove and store one snapshot. Raises ``SourceError``, ``SnapshotDamaged`` and what the sink raises."""
    chosen = _choose(plane)
    with spool_folder(plane, "backup") as folder:
        path = folder / "snapshot.db"
        received, alarms = _receive(plane, chosen, path, progress)
        return _Proving(plane, chosen, received, alarms, path, sink, progress).run()


def _choose(plane: ControlPlane) -> Chosen:
    chosen = choose(plane.endpoints, plane.tls)
    if chosen.is_kine:
        raise SourceError(
            f"{chosen.endpoint} is kine, which stands in for etcd: it gives no snapshots",
            hint=f"k3s keeps its state in SQLite at {plane.sqlite_file}; run this where that file is. If it is in "
            "another database, back that up. Nothing was stored.",
        )
    return chosen


def _receive(plane: ControlPlane, chosen: Chosen, path: Path, progress: Progress) -> tuple[Received, tuple[Alarm, ...]]:
    size = chosen.status.db_size_bytes
    progress.phase("fetching", total_bytes=size)
    with EtcdClient(chosen.endpoint, plane.tls) as client:
        received = receive(client, path, advance=progress.advance, expected_bytes=size)
        return received, client.alarms()


@dataclass
class _Proving:
    """A snapshot in its file, on its way into the store."""

    plane: ControlPlane
    chosen: Chosen
    received: Received
    alarms: tuple[Alarm, ...]
    path: Path
    sink: Sink
    progress: Progress

    def run(self) -> Captured:
        """Prove and store side by side; what is stored of a snapshot that is refused is taken back by the caller."""
        revision, compact_revision = heading(self.path)
        self.progress.phase("proving", total_bytes=self.path.stat().st_size)
        stop = threading.Event()
        with ThreadPoolExecutor(2, thread_name_prefix="store") as pool:
            asked = pool.submit(proof.ask, self.chosen, self.plane.tls, revision, compact_revision)
            # Only k3s and RKE2 want to be told of the cluster beside the object, which has to be known before it.
            facts = self._facts() if self.plane.is_rancher else None
            content = _content(self.path, stop, self.progress)
            stored = pool.submit(self.sink.write, self._file(facts), content)
            try:
                facts = facts or self._facts()
                found = self._survey(stored, None)
                agreement = proof.compare(found, asked.result(), lambda at: self._survey(stored, at).hash_kv)
                warnings = proof.require(agreement, found, self._source_name())
            except BaseException:
                stop.set()
                raise
        artifacts = [self._unchanged(stored.result()), *self._metadata(facts)]
        about = {**self._source(facts), "nodes": dict(facts.nodes)}
        server = store_server_files(self.plane, self.sink, self._stem, about)
        return Captured(
            point_in_time=None,
            tools={"etcd": self.chosen.status.version},
            source=self._source(facts),
            contents=self._contents(found, agreement, facts, server),
            artifacts=(*artifacts, *server.artifacts),
            omissions=server.omissions,
            warnings=(*warnings, *self._warnings(found, facts), *server.warnings),
            restore_by_hand=tuple(by_hand(self.plane, artifacts[0], server)),
        )

    def _unchanged(self, artifact: Artifact) -> Artifact:
        """What was stored is what came from etcd, also where nothing else would notice: in free pages."""
        if artifact.plain_sha256 != self.received.sha256_hex:
            raise SnapshotDamaged(
                f"the snapshot changed in {self.path.parent} between its arrival and its storing",
                hint="The disk or the memory of this machine changes bytes. Nothing was stored.",
            )
        return artifact

    def _survey(self, stored: "Future[Artifact]", compact_revision: int | None) -> Survey:
        """Raises at once what storing has raised."""

        def watch(_: int) -> None:
            if stored.done():
                stored.result()

        prefix = self.plane.prefix.encode()
        return survey(self.path, prefix=prefix, compact_revision=compact_revision, advance=watch)

    def _facts(self) -> Facts:
        return read_facts(look_into(self.path, self.plane), self.plane)

    def _file(self, facts: Facts | None) -> File:
        metadata = {}
        if facts is not None:
            found = {"cluster-id": facts.cluster_uid, "node-name": self.plane.node, "token-hash": facts.token_hash}
            metadata = {f"{self.plane.flavor.value}-{name}": value for name, value in found.items() if value}
        return File(SNAPSHOT, name=self._stem, metadata=metadata)

    def _metadata(self, facts: Facts) -> list[Artifact]:
        """What the user wants to know of a snapshot, where k3s looks for it; only beside one that k3s can open."""
        if not self.plane.is_rancher or self.plane.encrypted or not facts.extra_metadata:
            return []
        name = f".metadata/{self._stem}{'.zip' if self.plane.zipped else ''}"
        file = File(METADATA, name=name, compressed=False)
        return [self.sink.write(file, [json.dumps(facts.extra_metadata).encode()])]

    @property
    def _stem(self) -> str:
        return f"{self.plane.base}-{self.plane.node}-{{unix}}"

    def _source_name(self) -> str:
        names = {member.id: member.name for member in self.chosen.members}
        return names.get(self.chosen.status.member_id) or self.chosen.endpoint

    def _source(self, facts: Facts) -> dict[str, Any]:
        status = self.chosen.status
        found = {
            "flavor": self.plane.flavor.value,
            "server_version": status.version,
            "kubernetes_version": facts.kubernetes_version,
            "where": self.chosen.endpoint,
            "node": self.plane.node,
            "member": self._source_name(),
            "member_id": f"{status.member_id:x}",
            "cluster_id": f"{status.cluster_id:x}",
            "cluster_uid": facts.cluster_uid,
            "members": [
                {
                    "name": member.name,
                    "peer_urls": list(member.peer_urls),
                    "client_urls": list(member.client_urls),
                    "learner": member.is_learner,
                }
                for member in self.chosen.members
            ],
            "servers": list(facts.servers),
            "alarms": [alarm.name for alarm in self.alarms],
            "db_size_bytes": status.db_size_bytes,
            "db_in_use_bytes": status.db_in_use_bytes,
            "quota_bytes": status.quota_bytes,
        }
        return {name: value for name, value in found.items() if value not in ("", 0)}

    def _contents(self, found: Survey, agreement: proof.Agreement, facts: Facts, server: ServerPart) -> dict[str, Any]:
        """The manifest's ``contents`` of this tier; docs/format.md describes each key."""
        ends = facts.token.expires if facts.token else None
        return {
            "kind": "etcd",
            "revision": found.revision,
            "compact_revision": found.compact_revision,
            "hash_kv": found.hash_kv,
            "keys": found.keys,
            "records": found.records,
            "resources": dict(found.resources),
            "size_bytes": found.size_bytes,
            "in_use_bytes": found.in_use_bytes,
            "storage_version": found.storage_version,
            "compared_with": list(agreement.agreed),
            "token_hash": facts.token_hash,
            "token_opens": facts.token.opens if facts.token else None,
            "server_files": bool(server.artifacts),
            IN_SERVER_FILES: server.has_token,
            **(
                {"certificates_end": exact_time(ends)} if (ends := facts.token.expires if facts.token else None) else {}
            ),
        }

    def _warnings(self, found: Survey, facts: Facts) -> Iterator[str]:
        yield from self.chosen.trouble
        yield from (f"etcd raised the alarm {alarm.name}" for alarm in self.alarms)
        if not found.resources.keys() - {OTHER}:
            yield f"there is no object of Kubernetes in it: etcd has no key below {self.plane.prefix.rstrip('/')}/"
        quota, size = self.chosen.status.quota_bytes, self.chosen.status.db_size_bytes
        if quota and size > QUOTA_WARNING * quota:
            yield f"etcd uses {format_size(size)} of the {format_size(quota)} it may: at all of it, it refuses writes"
        if self.plane.is_rancher and not found.bootstrap_keys:
            yield "there is no bootstrap data of the servers in it: k3s cannot start from this snapshot alone"
        if facts.token is not None and not facts.token.opens:
            yield f"the server token of this machine does not open this snapshot: {facts.token.why}"


def _content(path: Path, stop: threading.Event, progress: Progress) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            if stop.is_set():
                raise Interrupted("the snapshot was refused while it was stored")
            progress.advance(len(chunk))
            yield chunk

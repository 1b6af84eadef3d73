"""Out of the restored cluster, before this server's part of it is put aside.

A member that is gone still counts: of two voters the one that stays has no majority, and the restored cluster stands
still. etcd lets a member take itself out once that is agreed (server/etcdserver/server.go, RemoveMember); it ends then,
which may be before it has answered, but not before its database says so (membership/store.go, "members_removed").
"""

from contextlib import suppress
from functools import partial
from pathlib import Path

from backstay.core.errors import BackstayError, RestoreError, SnapshotDamaged
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.api.messages import Member
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.file.bolt import BoltFile
from backstay.tiers.etcd.restore import members
from backstay.tiers.etcd.restore.fetch import members_in
from backstay.tiers.etcd.restore.services import DATABASE, System

ASKED_SECONDS = 2.0  # one question, of many, to a member that may be about to end


def leave(plane: ControlPlane, system: System, before: Path) -> None:
    """Take this server's member out of the cluster whose database is in its place now: by itself where etcd here
    answers as a voter, else by way of another member. ``before`` is where the old database is, for a person.

    Raises ``RestoreError`` that names the member where none of them can; it was not taken out then.
    """
    database, file = plane.etcd_dir / DATABASE, plane.etcd_dir / "name"
    if not database.exists() or not file.exists():  # etcd was never started on it
        return
    name, why = file.read_text().strip(), list[str]()
    others = members.others_in(members_in(database), plane)
    if not others:  # a cluster of its own, or one that it was about to join
        return
    here = system.addresses()
    there = [url for other in others for url in members.endpoints_of(other, plane, here)]
    for endpoint in (*members.own_endpoints(plane), *there):
        own: Member | None = None
        try:
            with EtcdClient(endpoint, plane.tls) as client:
                known = client.members(seconds=system.patience.answer)
                own = next((member for member in known if member.name == name), None)  # k3s gives no name twice
                if own is not None:
                    client.remove_member(own.id)
            return
        except (BackstayError, OSError) as error:
            why.append(error.message if isinstance(error, BackstayError) else str(error))
        if own:
            system.wait_until(partial(_is_settled, endpoint, plane, database, own), system.patience.undo)
            if _is_removed(database, own):
                return
    raise RestoreError(
        f"{plane.node} is a member of the restored cluster, as {name}, and could not be taken out of it: "
        f"{'; '.join(dict.fromkeys(why))}",
        hint="While it counts as one, the others may have no majority without it, so nothing was changed. Start "
        f"{plane.service} and run this again once etcd here answers; or remove {name} on another server (`kubectl "
        f"delete node {plane.node}`, or etcdctl), then run this again. Is the restored cluster given up? Then stop "
        f"{plane.service}, move {plane.db_dir} away and {before} in its place, and run this again.",
    )


def _is_settled(endpoint: str, plane: ControlPlane, database: Path, own: Member) -> bool:
    """Whether it is known what came of it: the database says that it was removed, or etcd answers that it was not."""
    if _is_removed(database, own):
        return True
    with suppress(BackstayError, OSError), EtcdClient(endpoint, plane.tls) as client:
        return any(member.id == own.id for member in client.members(seconds=ASKED_SECONDS))
    return False


def _is_removed(database: Path, own: Member) -> bool:
    """Whether the database says so; etcd may be at work on it."""
    with suppress(SnapshotDamaged, OSError), BoltFile(database) as bolt:
        removed = bolt.buckets().get(b"members_removed")
        return removed is not None and any(key == f"{own.id:x}".encode() for key, _ in bolt.items(removed))
    return False

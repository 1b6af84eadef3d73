"""Who is in the cluster: this machine's member, and the others, of which none may be up while one is restored."""

import hashlib
import ipaddress
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from backstay.core.errors import BackstayError
from backstay.core.model import Backup
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.api.messages import Member, MemberStatus
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.restore.services import System

CLIENT_PORT = 2379  # of k3s, RKE2 and kubeadm, and what etcd itself takes
THREADS = 8
ID_BYTES = 8


@dataclass(frozen=True)
class Other:
    """A member on another machine, as plain data that a plan can keep."""

    name: str
    client_urls: tuple[str, ...] = ()
    peer_urls: tuple[str, ...] = ()

    @property
    def node(self) -> str:
        """The machine: k3s calls its members ``<node>-<eight hex digits>`` (pkg/etcd/etcd.go, setName)."""
        return node_of(self.name)

    def as_data(self) -> dict[str, Any]:
        """For ``Plan.details``."""
        return {"name": self.name, "client_urls": list(self.client_urls), "peer_urls": list(self.peer_urls)}


@dataclass(frozen=True)
class Live:
    """What the cluster says of itself now; ``why`` it does not, where it does not answer."""

    status: MemberStatus | None
    members: tuple[Member, ...] = ()
    why: str = ""

    @property
    def others(self) -> tuple[Other, ...]:
        """All members but the one that answered."""
        us = self.status.member_id if self.status else 0
        return tuple(Other(m.name, m.client_urls, m.peer_urls) for m in self.members if m.id != us)

    @property
    def own(self) -> Member | None:
        """The member that answered."""
        us = self.status.member_id if self.status else 0
        return next((member for member in self.members if member.id == us), None)


@dataclass(frozen=True)
class Made:
    """The cluster that a restore with etcdutl makes, by ids: etcd computes them from peer URLs and the cluster's token
    alone, so that every member that is restored in the same way gets the same (server/etcdserver/api/membership)."""

    cluster_id: int
    member_id: int  # this machine's

    @classmethod
    def of(cls, urls: Mapping[str, str], name: str, token: str) -> "Made":
        """``urls`` are the peer URLs of each member by name, several joined by commas."""
        ids = {each: _hashed("".join(sorted(joined.split(","))).encode() + token.encode())
               for each, joined in urls.items()}  # fmt: skip
        every = b"".join(number.to_bytes(ID_BYTES, "big") for number in sorted(ids.values()))
        return cls(_hashed(every), ids[name])

    def as_data(self) -> dict[str, str]:
        """For ``Plan.details``."""
        return {"cluster_id": f"{self.cluster_id:x}", "member_id": f"{self.member_id:x}"}

    @classmethod
    def from_data(cls, data: Mapping[str, str] | None) -> "Made | None":
        """The inverse of ``as_data``; None where a plan has none."""
        return cls(int(data["cluster_id"], 16), int(data["member_id"], 16)) if data else None


def look(plane: ControlPlane, system: System) -> Live:
    """Ask this machine's member. A cluster that does not answer is a reason to restore, and no error."""
    why = "no endpoint is configured"
    for endpoint in own_endpoints(plane):
        try:
            with EtcdClient(endpoint, plane.tls) as client:
                status = client.status(seconds=system.patience.answer)
                return Live(status, client.members(seconds=system.patience.answer))
        except (BackstayError, OSError) as error:
            why = error.message if isinstance(error, BackstayError) else str(error)
    return Live(None, why=why)


def own_endpoints(plane: ControlPlane) -> tuple[str, ...]:
    """Those on this machine, where any are: another member must not be taken for this one."""
    return tuple(url for url in plane.endpoints if _is_loopback(url)) or plane.endpoints


def answering(others: Iterable[Other], plane: ControlPlane, system: System, made: Made | None = None) -> list[str]:
    """The machines of those whose etcd answers, in the order of names.

    Those are left out that were restored before this machine, into the very cluster ``made`` that it is to be in.
    """
    asked = sorted(set(others), key=lambda other: other.name)
    if not asked:
        return []
    here = system.addresses()
    own = _own_member(plane, here, system)

    def is_up(other: Other) -> bool:
        return any(_is_up(url, plane, system, own, made) for url in endpoints_of(other, plane, here))

    with ThreadPoolExecutor(min(THREADS, len(asked))) as pool:
        return sorted({other.node for other, up in zip(asked, pool.map(is_up, asked), strict=True) if up})


def endpoints_of(other: Other, plane: ControlPlane, here: Collection[str]) -> tuple[str, ...]:
    """Where the etcd of another member answers: its client URLs, and where none is known that leads to it, the usual
    port on the hosts of its peer URLs. ``here`` are the addresses of this machine, which cannot be the other's."""
    if any(not _is_loopback(url) for url in other.client_urls):
        return other.client_urls
    scheme = "https" if plane.tls else "http"
    hosts = [urlsplit(url).hostname or "" for url in other.peer_urls if not _is_loopback(url)]
    derived = [
        f"{scheme}://[{host}]:{CLIENT_PORT}" if ":" in host else f"{scheme}://{host}:{CLIENT_PORT}"
        for host in dict.fromkeys(hosts)
        if host and host not in here
    ]
    return (*other.client_urls, *derived)


def recorded(backup: Backup, plane: ControlPlane) -> tuple[Other, ...]:
    """The other members that the manifest names."""
    listed = backup.source.get("members", ())
    return others_in(listed, plane) if isinstance(listed, list | tuple) else ()


def known_others(live: Live, backup: Backup, plane: ControlPlane) -> tuple[Other, ...]:
    """The other members, by name: of the live cluster, where it answers, else of the one that was backed up."""
    return tuple(sorted(live.others if live.status else recorded(backup, plane), key=lambda other: other.name))


def others_in(listed: Iterable[Any], plane: ControlPlane) -> tuple[Other, ...]:
    """The other members of a list: objects with ``name`` and, when known, ``client_urls`` and ``peer_urls``."""
    found = []
    for entry in listed:
        fields: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {"name": str(entry)}
        name = str(fields.get("name", ""))
        if name and not is_this(name, plane):
            clients, peers = (tuple(map(str, fields.get(key, ()))) for key in ("client_urls", "peer_urls"))
            found.append(Other(name, clients, peers))
    return tuple(found)


def from_data(listed: Iterable[Mapping[str, Any]]) -> tuple[Other, ...]:
    """The inverse of ``Other.as_data``."""
    return tuple(Other(str(o["name"]), tuple(o["client_urls"]), tuple(o["peer_urls"])) for o in listed)


def is_this(name: str, plane: ControlPlane) -> bool:
    """Whether a member of this name is this machine's."""
    return plane.node in {name, node_of(name)}


def node_of(name: str) -> str:
    """``server-1`` of the member ``server-1-0a1b2c3d``."""
    head, _, tail = name.rpartition("-")
    return head if head and len(tail) == 8 and all(letter in "0123456789abcdef" for letter in tail) else name


def _own_member(plane: ControlPlane, here: Collection[str], system: System) -> int | None:
    """The id of the member that runs on this machine; it answers at the address of this machine, too."""
    for endpoint in own_endpoints(plane):
        if _is_loopback(endpoint) or urlsplit(endpoint).hostname in here:
            try:
                with EtcdClient(endpoint, plane.tls) as client:
                    return client.status(seconds=system.patience.answer).member_id or None  # kine has none
            except (BackstayError, OSError):
                continue
    return None


def _is_up(url: str, plane: ControlPlane, system: System, own: int | None, made: Made | None) -> bool:
    """Whether another member answers there that would go on beside the restored ones."""
    status = None
    try:
        with EtcdClient(url, plane.tls) as client:
            status = client.status(seconds=system.patience.answer)
            if status.member_id == own:
                return False
            if made is None or status.cluster_id != made.cluster_id:
                return True
            return not _awaits(client.members(seconds=system.patience.answer), made)
    except (BackstayError, OSError):
        return status is not None


def _awaits(known: Iterable[Member], made: Made) -> bool:
    """Whether a restored cluster has never seen this machine's member: one that has joined has told its client URLs.

    A cluster that was restored from the same backup long ago has the same id, and a member of it that began anew would
    have forgotten what it voted for.
    """
    return any(member.id == made.member_id and not member.client_urls for member in known)


def _hashed(data: bytes) -> int:
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest()[:ID_BYTES], "big")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

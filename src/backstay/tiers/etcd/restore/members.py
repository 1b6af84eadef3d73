"""Who is in the cluster: this machine's member, and the others, of which none may be up while one is restored."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from backstay.core.errors import BackstayError
from backstay.core.model import Backup
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.api.messages import Member, MemberStatus
from backstay.tiers.etcd.controlplane import ControlPlane, TlsFiles
from backstay.tiers.etcd.restore.services import System


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


def answering(others: Iterable[Other], tls: TlsFiles | None, system: System) -> list[str]:
    """The names of those whose etcd answers."""
    return [other.node for other in others if any(_answers(url, tls, system) for url in other.client_urls)]


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


def _answers(url: str, tls: TlsFiles | None, system: System) -> bool:
    try:
        with EtcdClient(url, tls) as client:
            client.status(seconds=system.patience.answer)
    except (BackstayError, OSError):
        return False
    return True


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

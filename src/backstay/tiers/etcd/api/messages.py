"""The answers of etcd that Backstay reads, and how they are written on the wire.

Field numbers: etcd-io/etcd, api/etcdserverpb/rpc.proto and api/mvccpb/kv.proto. Fields of 3.6 are absent before.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from backstay.tiers.etcd import wire

ALARMS = {1: "NOSPACE", 2: "CORRUPT"}


@dataclass(frozen=True)
class Header:
    """Who answered, and the revision its store was at (0 where etcd does not fill it)."""

    cluster_id: int = 0
    member_id: int = 0
    revision: int = 0
    raft_term: int = 0


@dataclass(frozen=True)
class MemberStatus:
    """What one member says of itself. Sizes in bytes; ``quota_bytes`` and ``storage_version`` only from 3.6 on."""

    header: Header
    version: str
    db_size_bytes: int
    db_in_use_bytes: int
    leader_id: int
    raft_index: int
    raft_applied_index: int
    raft_term: int
    errors: tuple[str, ...]
    is_learner: bool
    storage_version: str
    quota_bytes: int

    @property
    def member_id(self) -> int:
        """The member that answered."""
        return self.header.member_id

    @property
    def cluster_id(self) -> int:
        """The cluster it belongs to."""
        return self.header.cluster_id

    @property
    def is_kine(self) -> bool:
        """Whether it is kine (k3s without etcd), which answers with an empty header; every member of etcd has an id.

        Its ``version`` is that of the etcd whose part it plays (k3s-io/kine, pkg/server/maintenance.go).
        """
        return self.header.cluster_id == 0 and self.header.member_id == 0

    @property
    def is_leader(self) -> bool:
        """Whether it leads."""
        return self.leader_id != 0 and self.leader_id == self.member_id


@dataclass(frozen=True)
class Member:
    """One member as the cluster knows it. A member that was added and never started has no name."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool


@dataclass(frozen=True)
class Alarm:
    """An alarm that is raised: ``NOSPACE`` or ``CORRUPT``."""

    member_id: int
    name: str


@dataclass(frozen=True)
class HashKV:
    """The hash of all keys up to ``hash_revision`` (before 3.6: the revision asked for, 0 for the current one).

    Two hashes compare only with the same ``compact_revision`` (-1: never compacted).
    """

    hash: int
    compact_revision: int
    revision: int  # the store's when it answered
    hash_revision: int
    member_id: int


@dataclass(frozen=True)
class KeyValue:
    """A key with its value and the revisions at which it was made and last changed."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int


@dataclass(frozen=True)
class Page:
    """One answer to a range request. ``count`` is of all keys in the range."""

    revision: int
    items: tuple[KeyValue, ...]
    more: bool
    count: int


@dataclass
class Fields:
    """The fields of one message by number; the last of each kind wins, as protobuf.dev says, repeated ones kept."""

    numbers: dict[int, int] = field(default_factory=dict)
    blobs: dict[int, list[bytes]] = field(default_factory=dict)

    @classmethod
    def of(cls, data: bytes) -> "Fields":
        """Take ``data`` apart. Raises ``wire.Malformed``."""
        made = cls()
        for number, value in wire.fields(data):
            if isinstance(value, int):
                made.numbers[number] = value
            else:
                made.blobs.setdefault(number, []).append(value)
        return made

    def whole(self, number: int) -> int:
        """An unsigned number."""
        return self.numbers.get(number, 0)

    def int64(self, number: int) -> int:
        """A signed number."""
        return wire.signed(self.whole(number))

    def blob(self, number: int) -> bytes:
        """Bytes, or a message."""
        found = self.blobs.get(number)
        return found[-1] if found else b""

    def text(self, number: int) -> str:
        """A string."""
        return self.blob(number).decode("utf-8", "replace")

    def texts(self, number: int) -> tuple[str, ...]:
        """Repeated strings."""
        return tuple(each.decode("utf-8", "replace") for each in self.blobs.get(number, []))

    def messages(self, number: int) -> "Iterator[Fields]":
        """Repeated messages."""
        return map(Fields.of, self.blobs.get(number, []))


def header(answer: Fields) -> Header:
    """The header, which is field 1 of every answer."""
    found = Fields.of(answer.blob(1))
    return Header(found.whole(1), found.whole(2), found.int64(3), found.whole(4))


def revision(data: bytes) -> int:
    """The store's revision in the header of any answer."""
    return header(Fields.of(data)).revision


def snapshot_part(data: bytes) -> tuple[bytes, int]:
    """A SnapshotResponse: bytes of the snapshot, and how many bytes of the database are still to come."""
    answer = Fields.of(data)
    return answer.blob(3), answer.whole(2)


def member_status(data: bytes) -> MemberStatus:
    """A StatusResponse."""
    answer = Fields.of(data)
    return MemberStatus(
        header=header(answer),
        version=answer.text(2),
        db_size_bytes=answer.int64(3),
        db_in_use_bytes=answer.int64(9),
        leader_id=answer.whole(4),
        raft_index=answer.whole(5),
        raft_applied_index=answer.whole(7),
        raft_term=answer.whole(6),
        errors=answer.texts(8),
        is_learner=bool(answer.whole(10)),
        storage_version=answer.text(11),
        quota_bytes=answer.int64(12),
    )


def members(data: bytes) -> tuple[Member, ...]:
    """A MemberListResponse."""
    return tuple(
        Member(each.whole(1), each.text(2), each.texts(3), each.texts(4), bool(each.whole(5)))
        for each in Fields.of(data).messages(2)
    )


def alarms(data: bytes) -> tuple[Alarm, ...]:
    """An AlarmResponse."""
    return tuple(
        Alarm(each.whole(1), ALARMS.get(each.whole(2), f"alarm {each.whole(2)}"))
        for each in Fields.of(data).messages(2)
    )


def hash_kv(data: bytes, asked_revision: int) -> HashKV:
    """A HashKVResponse; ``asked_revision`` stands in for field 4, which is of 3.6."""
    answer = Fields.of(data)
    top = header(answer)
    return HashKV(
        hash=answer.whole(2),
        compact_revision=answer.int64(3),
        revision=top.revision,
        hash_revision=answer.int64(4) or asked_revision or top.revision,
        member_id=top.member_id,
    )


def key_value(data: bytes) -> KeyValue:
    """A mvccpb.KeyValue."""
    found = Fields.of(data)
    return KeyValue(found.blob(1), found.blob(5), found.int64(2), found.int64(3), found.int64(4), found.int64(6))


def page(data: bytes) -> Page:
    """A RangeResponse."""
    answer = Fields.of(data)
    items = tuple(map(key_value, answer.blobs.get(2, [])))
    return Page(header(answer).revision, items, bool(answer.whole(3)), answer.int64(4))

"""One member of etcd, asked over gRPC: its state, its cluster, its hash and its snapshot.

Services and messages: etcd-io/etcd, api/etcdserverpb/rpc.proto.
"""

from collections.abc import Generator
from contextlib import closing

from backstay.tiers.etcd import wire
from backstay.tiers.etcd.api import messages, trouble
from backstay.tiers.etcd.api.channel import CALL_SECONDS
from backstay.tiers.etcd.api.keys import KeyCalls
from backstay.tiers.etcd.api.messages import Alarm, HashKV, Member, MemberStatus

HASH_SECONDS = 300.0  # all keys are read: about a second for each GB, and a slow disk takes longer
STALL_SECONDS = 60.0
REMOVE_SECONDS = 30.0  # etcd itself gives up after 5 s and twice its election timeout, which k3s sets to 5 s
DIGEST_BYTES = 32
PAGE_BYTES = 512  # a bbolt file is a whole number of these (client/v3/snapshot/v3_snapshot.go, hasChecksum)


class EtcdClient(KeyCalls):
    """A connection to one endpoint (``https://127.0.0.1:2379``). A context manager; closing it ends what runs on it.

    The certificates are read when it is opened. Every method raises ``SourceError``. Opening raises ``UsageError``
    for an endpoint that cannot be and for one without TLS that is not on this machine. Safe to use from threads.
    """

    def status(self, *, seconds: float = CALL_SECONDS) -> MemberStatus:
        """What the member says of itself."""
        return self.unary("Maintenance/Status", b"", messages.member_status, seconds=seconds)

    def members(self, *, seconds: float = CALL_SECONDS) -> tuple[Member, ...]:
        """All members of the cluster, as this one knows them: it answers without a leader, too."""
        return self.unary("Cluster/MemberList", b"", messages.members, seconds=seconds)

    def remove_member(self, member_id: int, *, seconds: float = REMOVE_SECONDS) -> tuple[Member, ...]:
        """Take a member out of the cluster, which may be the one that is asked; the members that stay. The only call
        with which Backstay changes a cluster that it does not run itself."""
        return self.unary("Cluster/MemberRemove", wire.message((1, member_id)), messages.members, seconds=seconds)

    def alarms(self) -> tuple[Alarm, ...]:
        """The alarms that are raised, of all members."""
        return self.unary("Maintenance/Alarm", b"", messages.alarms)

    def hash_kv(self, revision: int = 0, *, seconds: float = HASH_SECONDS) -> HashKV:
        """The hash of the keys up to ``revision`` (0: now).

        One that is compacted or in the future is refused: ``context["reason"]`` is then ``Reason.COMPACTED`` or
        ``Reason.FUTURE``.
        """
        asked = wire.message((1, revision)) if revision else b""
        return self.unary(
            "Maintenance/HashKV", asked, lambda answer: messages.hash_kv(answer, revision), seconds=seconds
        )

    def snapshot(self, *, stall_seconds: float = STALL_SECONDS) -> Generator[bytes, None, None]:
        """The bytes of a snapshot as they come, 32 KiB at a time: the bbolt file, then the SHA-256 of it.

        Raises ``SourceError`` when the stream is cut, is shorter than its beginning promised, or does not move for
        ``stall_seconds``; the time that the caller takes does not count. What came before it is then worth nothing.
        Does not compare the SHA-256: ``spool.receive`` does. Closing the iterator ends the stream.
        """
        size = promised = 0
        remaining = -1
        parts = self.stream("Maintenance/Snapshot", b"", messages.snapshot_part, stall_seconds=stall_seconds)
        with closing(parts):
            for blob, remaining in parts:
                promised = promised or len(blob) + remaining + DIGEST_BYTES
                size += len(blob)
                yield blob
        if remaining != 0 or size != promised:
            raise trouble.cut(self.endpoint, f"{size:,} of {promised:,} bytes came")
        if size % PAGE_BYTES != DIGEST_BYTES:
            raise trouble.cut(self.endpoint, f"its {size:,} bytes are not whole pages and a checksum")

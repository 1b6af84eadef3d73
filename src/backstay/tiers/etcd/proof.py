"""Whether a snapshot is the cluster's state: its HashKV, computed offline, against that of every member that answers.

The rule is etcd's (server/storage/mvcc/hash.go): two hashes of one revision compare only under one compact revision.
What cannot be compared is said, and is no damage: right after a compaction a member may give the hash it stored then.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from backstay.core.errors import SnapshotDamaged, SourceError
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.api.members import Chosen
from backstay.tiers.etcd.api.messages import HashKV
from backstay.tiers.etcd.api.trouble import Reason
from backstay.tiers.etcd.controlplane import TlsFiles
from backstay.tiers.etcd.file.survey import Survey

ATTEMPTS = 20
PAUSE_SECONDS = 0.25

Answers = Mapping[str, HashKV | SourceError]  # by the name of the member


@dataclass(frozen=True)
class Agreement:
    """What the members say: names of those that agree and that differ, and why others were not compared."""

    agreed: tuple[str, ...]
    differing: tuple[str, ...]
    untold: tuple[str, ...]


def ask(
    chosen: Chosen,
    tls: TlsFiles | None,
    revision: int,
    compact_revision: int,
    sleep: Callable[[float], None] = time.sleep,
) -> Answers:
    """The hash of every member that answered before, at ``revision``; best asked right after the snapshot, before the
    cluster compacts that revision away. A member that is behind, or that gives a hash from before the snapshot's
    ``compact_revision``, is asked again for a while."""
    names = {member.id: member.name for member in chosen.members}
    reached = [(chosen.status.member_id, chosen.endpoint)]
    reached += [(other.status.member_id, other.endpoint) for other in chosen.others if not other.status.is_learner]
    one = partial(_answer, tls=tls, revision=revision, compact_revision=compact_revision, sleep=sleep)
    with ThreadPoolExecutor(len(reached)) as pool:
        answers = pool.map(one, (endpoint for _, endpoint in reached))
        asked = [names.get(member) or endpoint for member, endpoint in reached]
        return dict(zip(asked, answers, strict=True))


def compare(survey: Survey, answers: Answers, hash_under: Callable[[int], int]) -> Agreement:
    """Hold the file against the answers. ``hash_under`` computes its hash again under a higher compact revision, for
    members that have compacted since."""
    agreed: list[str] = []
    differing: list[str] = []
    untold: list[str] = []
    for name, answer in answers.items():
        if isinstance(answer, SourceError):
            untold.append(f"{name}: {answer.message}")
        elif answer.compact_revision < survey.compact_revision:
            untold.append(f"{name} gives only the hash that it stored while it compacted")
        else:
            moved = answer.compact_revision > survey.compact_revision
            ours = hash_under(answer.compact_revision) if moved else survey.hash_kv
            (agreed if ours == answer.hash else differing).append(name)
    return Agreement(tuple(agreed), tuple(differing), tuple(untold))


def require(found: Agreement, survey: Survey, source: str) -> tuple[str, ...]:
    """Warnings about what was found. Raises ``SnapshotDamaged`` unless more members agree than differ, or none could
    be compared."""
    if found.differing and len(found.agreed) <= len(found.differing):
        alone = f", and agrees only with {', '.join(found.agreed)}" if found.agreed else ""
        raise SnapshotDamaged(
            f"the snapshot from {source} is not the state of the cluster: its HashKV at revision {survey.revision:,} "
            f"differs from that of {', '.join(found.differing)}{alone}",
            hint="A member has other data than the rest, or this machine changes bytes. Nothing was stored. "
            "`etcdctl endpoint hashkv --cluster` shows which; replace that member, then back up again.",
        )
    return tuple(_warnings(found))


def _warnings(found: Agreement) -> Iterator[str]:
    if found.differing:
        yield (
            f"CORRUPT MEMBER: {', '.join(found.differing)} holds other data than {', '.join(found.agreed)}, "
            "which this snapshot agrees with; replace that member"
        )
    if not found.agreed:
        yield f"the HashKV was not compared with the cluster: {'; '.join(found.untold)}"
    elif found.untold:
        yield f"not every member was compared: {'; '.join(found.untold)}"


def _answer(
    endpoint: str,
    *,
    tls: TlsFiles | None,
    revision: int,
    compact_revision: int,
    sleep: Callable[[float], None],
) -> HashKV | SourceError:
    try:
        with EtcdClient(endpoint, tls) as client:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    answer = client.hash_kv(revision)
                except SourceError as error:
                    if attempt == ATTEMPTS or error.context.get("reason") is not Reason.FUTURE:
                        return error
                else:
                    if attempt == ATTEMPTS or answer.compact_revision >= compact_revision:
                        return answer
                sleep(PAUSE_SECONDS)
    except SourceError as error:
        return error
    raise AssertionError("the last attempt returns")  # pragma: no cover

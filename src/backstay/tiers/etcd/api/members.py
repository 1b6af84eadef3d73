"""Which member of the cluster to take a snapshot from, and which others there are to compare it with.

One member, not a list: a snapshot is one member's state, and a client that may switch between them does not know whose
(etcd's documentation, "Snapshot"). A voter, for a learner may be far behind; not the leader, which has the most to do.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from backstay.core.errors import BackstayError, SourceError, UsageError
from backstay.tiers.etcd.api.channel import address, is_loopback
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.api.messages import Member, MemberStatus
from backstay.tiers.etcd.api.trouble import Reason
from backstay.tiers.etcd.controlplane import TlsFiles

STATUS_SECONDS = 5.0
THREADS = 8
NOTHING_STORED = "Nothing was stored."
RUNNING = "Is etcd (k3s, RKE2) running on this machine?"
CORRUPT = re.compile(r"memberID:(\d+) alarm:CORRUPT")  # how etcd writes an AlarmMember among the errors of a status


@dataclass(frozen=True)
class Reached:
    """An endpoint that answered."""

    endpoint: str
    status: MemberStatus


@dataclass(frozen=True)
class Chosen:
    """The endpoint to take the snapshot from.

    ``members`` is the whole cluster as it knows it. ``others`` are the other voters that answered, one endpoint each,
    to compare hashes with (learners refuse HashKV: etcd, api/v3rpc/interceptor.go). ``trouble`` says in sentences what
    was wrong with the rest, and with the choice itself when it is not what it should be. With ``is_kine`` there is no
    snapshot to take, and no members.
    """

    endpoint: str
    status: MemberStatus
    members: tuple[Member, ...] = ()
    others: tuple[Reached, ...] = ()
    trouble: tuple[str, ...] = ()

    @property
    def is_kine(self) -> bool:
        """Whether it is kine that answered: k3s without etcd."""
        return self.status.is_kine


def choose(endpoints: Sequence[str], tls: TlsFiles | None, *, seconds: float = STATUS_SECONDS) -> Chosen:
    """Ask all ``endpoints`` at once, for ``seconds`` at most each, and take the best of those that are healthy.

    A voter that knows a leader before one that knows none, a follower before the leader, this machine before another;
    among equals the first. Raises ``SourceError`` when there is none, saying why of each, and when the endpoints are
    not of one cluster; ``UsageError`` for one that is no endpoint of etcd.
    """
    reached, failures = _ask(endpoints, tls, seconds)
    _one_cluster(reached)
    unfit = {each.endpoint: _unfit(each) for each in reached}
    trouble = [error.message for error in failures]
    trouble += filter(None, unfit.values())
    fit = [each for each in reached if not unfit[each.endpoint]]
    if not fit:
        why = "; ".join(dict.fromkeys(trouble)) or "none is configured"
        raise SourceError(f"no endpoint of etcd can give a snapshot: {why}", hint=_hint(endpoints, failures, unfit))
    best = min(fit, key=_rank)
    if best.status.is_kine:
        return Chosen(best.endpoint, best.status, trouble=tuple(trouble))
    if best.status.leader_id == 0:
        trouble.append(f"{best.endpoint} knows no leader: the cluster has no majority, and its data may be behind")
    with EtcdClient(best.endpoint, tls) as client:
        members = client.members(seconds=seconds)
    others, more = _others(best, reached, members, tls, seconds)
    return Chosen(best.endpoint, best.status, members, others, (*trouble, *more))


def _hint(endpoints: Sequence[str], failures: Sequence[SourceError], unfit: Collection[str]) -> str:
    """What to do where no endpoint will do: what the first failure says, where all are of one kind."""
    kinds = {error.context.get("reason") or error.message for error in failures}
    if not failures:
        hint = "Name the endpoint of another member in etcd.endpoints." if unfit else "Set etcd.endpoints."
    elif len(kinds) == 1 and not unfit and not (Reason.UNREACHABLE in kinds and all(map(_is_here, endpoints))):
        hint = failures[0].hint
    else:
        hint = RUNNING
    return hint if "nothing was" in hint.lower() else f"{hint} {NOTHING_STORED}".strip()


def _ask(endpoints: Sequence[str], tls: TlsFiles | None, seconds: float) -> tuple[list[Reached], list[SourceError]]:
    """Who answered, in the order of ``endpoints``, and what was wrong with the others."""
    reached: list[Reached] = []
    failures: list[SourceError] = []
    if not endpoints:
        return reached, failures
    with ThreadPoolExecutor(min(THREADS, len(endpoints))) as pool:
        for answer in pool.map(lambda endpoint: _status(endpoint, tls, seconds), endpoints):
            if isinstance(answer, Reached):
                reached.append(answer)
            else:
                failures.append(answer)
    return reached, failures


def _is_here(endpoint: str) -> bool:
    return is_loopback(address(endpoint)[1])


def _status(endpoint: str, tls: TlsFiles | None, seconds: float) -> Reached | SourceError:
    try:
        with EtcdClient(endpoint, tls) as client:
            return Reached(endpoint, client.status(seconds=seconds))
    except SourceError as error:
        return error


def _one_cluster(reached: Iterable[Reached]) -> None:
    found = {each.endpoint: each.status.cluster_id for each in reached}
    if len(set(found.values())) > 1:
        of_each = ", ".join(f"{endpoint} of {cluster_id:x}" for endpoint, cluster_id in found.items())
        raise SourceError(
            f"the endpoints are not of one cluster: {of_each}",
            hint=f"Name the endpoints of one cluster only. {NOTHING_STORED}",
        )


def _unfit(each: Reached) -> str:
    """Why no snapshot may come from it; nothing when it may."""
    if each.status.is_learner:
        return f"{each.endpoint} is a learner, which may be far behind"
    corrupt = {int(member) for error in each.status.errors for member in CORRUPT.findall(error)}
    if each.status.member_id in corrupt:
        return f"{each.endpoint} is corrupt, as etcd itself found (alarm CORRUPT)"
    return ""


def _rank(each: Reached) -> tuple[bool, bool, bool]:
    return each.status.leader_id == 0, each.status.is_leader, not _is_here(each.endpoint)


def _others(
    best: Reached, reached: Sequence[Reached], members: Sequence[Member], tls: TlsFiles | None, seconds: float
) -> tuple[tuple[Reached, ...], list[str]]:
    """One endpoint of each other member: one that answered already, else the first of its client URLs that does."""
    known = {best.status.member_id: best}
    for each in reached:
        if not each.status.is_learner:
            known.setdefault(each.status.member_id, each)
    missing = [member for member in members if member.id not in known and not member.is_learner]
    trouble: list[str] = []
    with ThreadPoolExecutor(max(1, min(THREADS, len(missing)))) as pool:
        for found in pool.map(lambda member: _reach(member, tls, seconds), missing):
            if isinstance(found, Reached):
                known[found.status.member_id] = found
            else:
                trouble.append(found)
    del known[best.status.member_id]
    return tuple(known.values()), trouble


def _reach(member: Member, tls: TlsFiles | None, seconds: float) -> Reached | str:
    who = f"member {member.name or format(member.id, 'x')}"
    if not member.client_urls:
        return f"{who} has not started yet"
    why = ""
    for url in member.client_urls:
        found: Reached | BackstayError
        try:
            found = _status(url, tls, seconds)
        except UsageError as error:
            found = error
        if isinstance(found, Reached) and found.status.member_id == member.id:
            return found
        why = found.message if isinstance(found, BackstayError) else f"{url} is another member"
    return f"{who} was not asked: {why}"

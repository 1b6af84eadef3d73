"""What a failed call to etcd means, as an error with a hint.

etcd's own errors and their codes: etcd-io/etcd, api/v3rpc/rpctypes/error.go. kine's: k3s-io/kine,
pkg/server/maintenance.go. ``context["reason"]`` of each error is a ``Reason``, for callers that act on it.
"""

import datetime as dt
from enum import StrEnum

from backstay.core.errors import SourceError
from backstay.tiers.etcd.controlplane import TlsFiles

NOT_STORED = "Nothing was stored; run it again."


class Reason(StrEnum):
    """Why a call failed."""

    UNREACHABLE = "unreachable"
    TLS = "tls"  # the server's certificate, or no TLS where it was expected
    CLIENT = "client"  # our certificate was refused
    DENIED = "denied"  # by etcd's own accounts
    LATE = "late"  # no answer within the deadline
    STALLED = "stalled"  # a stream that stopped moving
    CUT = "cut"  # the connection was lost on the way
    NO_SPACE = "no-space"
    COMPACTED = "compacted"
    FUTURE = "future"
    NOT_SUPPORTED = "not-supported"  # kine
    GARBLED = "garbled"  # not a message of etcd
    OTHER = "other"


def explain(
    code: str, details: str, endpoint: str, address: tuple[str, int], tls: TlsFiles | None, method: str, limit: float
) -> SourceError:
    """The error for a call that ended with gRPC's ``code`` (``UNAVAILABLE``) and ``details``."""
    said = details.removeprefix("etcdserver: ").removeprefix("mvcc: ")
    if code == "DEADLINE_EXCEEDED":
        return _error(
            Reason.LATE,
            f"{endpoint} did not answer {method} within {limit:.0f} s",
            "Is that member overloaded, or does a firewall swallow the packets?",
        )
    if code == "UNAVAILABLE" and not details.startswith("etcdserver: "):
        return _no_connection(endpoint, address, tls, method, details)
    if code == "UNIMPLEMENTED" or (code == "UNKNOWN" and "not supported" in details):
        return _error(
            Reason.NOT_SUPPORTED,
            f"{endpoint} does not support {method}: {said}",
            "It is not etcd but stands in for it, as kine does in k3s without etcd: what it keeps is in a database, "
            "which is backed up as such.",
        )
    reason, hint = _of_etcd(code, details)
    return _error(reason, f"{endpoint} answered {method}: {said}", hint)


def stalled(endpoint: str, method: str, seconds: float) -> SourceError:
    """The error for a stream that did not move."""
    return _error(
        Reason.STALLED,
        f"nothing came from {endpoint} for {seconds:.0f} s in the middle of {method}",
        f"Does that member still run, and does its disk answer? {NOT_STORED}",
    )


def garbled(endpoint: str, method: str, error: Exception) -> SourceError:
    """The error for an answer that is no message of etcd."""
    return _error(
        Reason.GARBLED,
        f"{endpoint} answered {method} with something that is no message of etcd: {error}",
        f"Is it etcd that listens there, with nothing between? {NOT_STORED}",
    )


def cut(endpoint: str, what: str) -> SourceError:
    """The error for a stream that ended before its end."""
    return _error(
        Reason.CUT,
        f"the snapshot from {endpoint} ended early: {what}",
        f"Did that member stop, or did something between cut the connection? {NOT_STORED}",
    )


def _of_etcd(code: str, details: str) -> tuple[Reason, str]:
    if "space exceeded" in details:
        return Reason.NO_SPACE, (
            "etcd takes no more writes until it is compacted, defragmented and the alarm disarmed "
            "(etcd's documentation, Maintenance, Space quota). Reading, and so a snapshot, still works."
        )
    if "has been compacted" in details:
        return Reason.COMPACTED, "That revision is gone from the cluster; ask for a later one."
    if "future revision" in details:
        return Reason.FUTURE, "This member has not come that far yet; ask again."
    if code in {"PERMISSION_DENIED", "UNAUTHENTICATED"} or "user name is empty" in details:
        return Reason.DENIED, "etcd has accounts switched on; Backstay wants a client certificate of the account root."
    if code == "CANCELLED":
        return Reason.CUT, NOT_STORED
    return Reason.OTHER, "See the log of that member."


def _no_connection(
    endpoint: str, address: tuple[str, int], tls: TlsFiles | None, method: str, details: str
) -> SourceError:
    from backstay.tiers.etcd.api.probe import diagnose

    found = diagnose(*address, tls, dt.datetime.now(dt.UTC))
    if found:
        return _error(Reason(found.kind), f"{endpoint} {found.message}", f"{found.hint} Nothing was changed.")
    return _error(
        Reason.CUT,
        f"the connection to {endpoint} was lost during {method}: {details}",
        f"It can be reached again now; was that member restarted? {NOT_STORED}",
    )


def _error(reason: Reason, message: str, hint: str) -> SourceError:
    return SourceError(message, hint=hint, reason=str(reason))

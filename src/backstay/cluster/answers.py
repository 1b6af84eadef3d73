"""What the API server or the connection to it says, in the words and classes of ``core.errors``.

Statuses and reasons: kubernetes/community, "API Conventions", section "Response Status Kind"; the words that tell an
authorizer's 403 from an admission plugin's are those of k8s.io/apiserver (``responsewriters.ForbiddenMessage``). A
server's text is untrusted: shortened, and stripped of what would command a terminal. What was sent is never in it.
"""

import ipaddress
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from backstay.core.errors import (
    ClusterDenied,
    ClusterError,
    ClusterUnreachable,
    ObjectConflict,
    ObjectExists,
    ObjectInvalid,
    ObjectNotFound,
)
from backstay.core.model import EMPTY

WORDS = 600  # characters of a server's message; an invalid Deployment's is often 300
CAUSES = 5
WRITES = frozenset({"create", "patch", "update", "delete"})
# User "x" cannot list resource "pods" in API group "" in the namespace "y"; ... cannot get path "/metrics"
CANNOT = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) (?:resource "(?P<resource>[^"]*)" in API group "(?P<group>[^"]*)"'
    r'|path "(?P<path>[^"]*)")(?: in the namespace "(?P<namespace>[^"]*)")?'
)
ESCALATION = "is attempting to grant RBAC permissions not currently held"
QUOTA = "exceeded quota"
TERMINATING = "because it is being terminated"
ACCOUNT = "system:serviceaccount:"

# OpenSSL's X509_V_ERR_* numbers.
NOT_YET_VALID, EXPIRED = 9, 10
UNKNOWN_ISSUER = frozenset({2, 7, 18, 19, 20, 21})
WRONG_NAME = frozenset({62, 64})


@dataclass(frozen=True)
class Asked:
    """One request. ``verb``, ``resource`` (``deployments.apps``), ``namespace`` and ``name`` are for messages.
    ``again``: a second one does no harm where the answer to the first was lost."""

    method: str
    path: str
    verb: str = "get"
    resource: str = ""
    namespace: str = ""
    name: str = ""
    params: tuple[tuple[str, str], ...] = ()
    content: bytes | None = field(default=None, repr=False)  # may be a Secret
    headers: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    again: bool = True

    @property
    def what(self) -> str:
        """``list deployments.apps in namespace x``."""
        if not self.resource:
            return f"get {self.path}"
        name = f" {self.name}" if self.name else ""
        return f"{self.verb} {self.resource}{name}" + (f" in namespace {self.namespace}" if self.namespace else "")


@dataclass(frozen=True)
class Refusal:
    """An answer that is no success: the fields of the Status in it, where there is one."""

    status: int
    reason: str = ""
    message: str = ""
    causes: tuple[str, ...] = ()
    continuation: str = ""  # what a list that expired may be continued with (410)
    retry_after: float | None = None  # seconds
    is_status: bool = False  # false: an HTML page, or any other text

    @property
    def of_webhook(self) -> bool:
        """Whether a webhook could not be called; which does not pass by waiting a little."""
        return self.status >= httpx2.codes.INTERNAL_SERVER_ERROR and "webhook" in self.message


class Refused(Exception):
    """Between the connection and those who know what was asked; never seen outside of this package."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def read_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
    """What an answer with an error status says."""
    retry_after = _seconds(headers.get("retry-after", ""))
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.get("kind") != "Status":
        return Refusal(status, message=first_words(body), retry_after=retry_after)
    details = said.get("details") or {}
    if retry_after is None and details.get("retryAfterSeconds"):
        retry_after = _seconds(str(details["retryAfterSeconds"]))
    return Refusal(
        status=status,
        reason=str(said.get("reason") or ""),
        message=printable(str(said.get("message") or "")),
        causes=tuple(_cause(each) for each in details.get("causes") or () if isinstance(each, dict)),
        continuation=str((said.get("metadata") or {}).get("continue") or ""),
        retry_after=retry_after,
        is_status=True,
    )


def error_of(refusal: Refusal, asked: Asked, url: str, source: str) -> ClusterError:
    """The error for an answer to what was ``asked`` of the server at ``url``, as the user that ``source`` gives."""
    status, words = refusal.status, refusal.message or refusal.reason
    kind, message, hint = ClusterError, f"{words or 'no reason given'} (HTTP {status})", ""
    if status == httpx2.codes.UNAUTHORIZED:
        kind = ClusterDenied
        message = f"{url} does not know who asks"
        hint = f"The token or certificate of {source} is wrong or has expired; take a new one."
    elif status == httpx2.codes.FORBIDDEN:
        kind, hint = _forbidden(refusal, asked, source)
        message = words
    elif status in {429, 502, 503, 504}:
        kind = ClusterUnreachable
    elif not refusal.is_status and _is_page(words):
        message = f"{url} does not answer as a Kubernetes API server would (HTTP {status}): {words!r}"
        hint = "Look for a proxy on the way, or correct the server's address."
    elif status == httpx2.codes.NOT_FOUND:
        kind, message = ObjectNotFound, words
    elif refusal.reason == "AlreadyExists":
        kind, message = ObjectExists, words
    elif status == httpx2.codes.CONFLICT:
        kind, message = ObjectConflict, _with_causes(words, refusal.causes)
    elif status in {400, 413, 422} or (refusal.of_webhook and asked.verb in WRITES):
        kind, message = ObjectInvalid, words  # the message of a 422 has all its causes in it
        if refusal.of_webhook:
            hint = "Its admission webhook must run first, or not exist; restore what serves it before."
    return kind(
        f"cannot {asked.what}: {message}", hint=hint, status=status, reason=refusal.reason, causes=list(refusal.causes)
    )


def error_of_transport(error: Exception, asked: Asked, url: str) -> ClusterError:
    """The error where there was no answer, or half of one."""
    certificate = _find(error, ssl.SSLCertVerificationError)
    if isinstance(certificate, ssl.SSLCertVerificationError):
        why, hint = _certificate(certificate)
        return ClusterUnreachable(f"cannot trust {url}: {why}", hint=hint, certificate=True)
    if (broken := _find(error, ssl.SSLError)) is not None and isinstance(error, httpx2.ConnectError):
        return ClusterUnreachable(
            f"{url} does not agree on TLS: {printable(str(broken))}",
            hint="See that this is the API server's https port, and that it accepts the client certificate.",
        )
    words = printable(str(error)) or type(error).__name__
    if isinstance(error, httpx2.ProxyError):
        return ClusterUnreachable(
            f"cannot reach {url}: the proxy refuses ({words})", hint="Check proxy-url or HTTPS_PROXY."
        )
    if isinstance(error, httpx2.ConnectTimeout | httpx2.ConnectError):
        hint = "Check the server's address and the network."
        if "refused" in words.lower():
            hint = "Nothing listens there: see that the API server runs, and its port."
        elif _is_unknown_name(words):
            hint = "Its name has no address here: check the name and the DNS."
        timed = "it does not answer" if isinstance(error, httpx2.ConnectTimeout) else words
        return ClusterUnreachable(f"cannot reach {url}: {timed}", hint=hint)
    if isinstance(error, httpx2.TimeoutException):
        return ClusterUnreachable(f"cannot {asked.what}: {url} did not answer in time")
    return ClusterUnreachable(f"cannot {asked.what}: the connection to {url} broke ({words})")


def not_json(asked: Asked, url: str, status: int, body: bytes) -> ClusterError:
    """The error for a success, or a redirect, that no API server has written."""
    words = first_words(body)
    return ClusterError(
        f"cannot {asked.what}: {url} does not answer as a Kubernetes API server would (HTTP {status}): {words!r}",
        hint="Look for a proxy or a login page on the way, or correct the server's address.",
        status=status,
    )


def first_words(body: bytes) -> str:
    """The begin of a text that should not have come."""
    return printable(body[:1000].decode("utf-8", "replace"), 120)


def printable(text: str, length: int = WORDS) -> str:
    """At most ``length`` characters of a server's text, on one line, nothing in it that commands a terminal."""
    line = "".join(each for each in " ".join(text[: 4 * length].split()) if each.isprintable())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def is_near(host: str) -> bool:
    """Whether ``host`` is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _forbidden(refusal: Refusal, asked: Asked, source: str) -> tuple[type[ClusterError], str]:
    """A 403 is the authorizer's (who asks lacks a right) or that of an admission plugin (the object is not liked)."""
    words = refusal.message
    found = CANNOT.search(words)
    if found:
        return ClusterDenied, _grant(found)
    if ESCALATION in words:
        return (
            ClusterDenied,
            "Who restores roles must hold the same rights, or have the verbs escalate and bind on them.",
        )
    if TERMINATING in words:
        return ObjectConflict, "Wait until the namespace is gone, then try again."
    if QUOTA in words:
        return ObjectInvalid, "Raise the quota of the namespace, or free what counts against it."
    if asked.verb in WRITES and refusal.is_status and words:
        return ObjectInvalid, ""
    return ClusterDenied, f"See what {source} may do: kubectl auth can-i --list."


def _grant(found: re.Match[str]) -> str:
    """The rule that would allow it, in the form a ClusterRole takes, and who to bind it to."""
    if found["path"] is not None:
        rule = f'{{nonResourceURLs: ["{found["path"]}"], verbs: ["{found["verb"]}"]}}'
    else:
        groups, resources = f'apiGroups: ["{found["group"]}"]', f'resources: ["{found["resource"]}"]'
        rule = f'{{{groups}, {resources}, verbs: ["{found["verb"]}"]}}'
    user = found["user"]
    who = f"the user {user}"
    if user.startswith(ACCOUNT):
        who = f"the service account {user.removeprefix(ACCOUNT).replace(':', '/')}"
    where = f", or to a Role in namespace {found['namespace']}" if found["namespace"] else ""
    return f"Add this rule to a ClusterRole bound to {who}{where}: {rule}"


def _certificate(error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    code, words = error.verify_code, printable(error.verify_message)
    if code == EXPIRED:
        return "its certificate has expired", "Renew it on the server (k3s does when it starts; kubeadm certs renew)."
    if code == NOT_YET_VALID:
        return "its certificate is not valid yet", "Compare the clocks of this machine and of the server."
    if code in WRONG_NAME:
        return (
            f"its certificate is for other names ({words})",
            "Use one of the names in it, set tls-server-name, or add the name on the server (k3s: --tls-san).",
        )
    if code in UNKNOWN_ISSUER:
        return (
            f"its certificate was not signed by the certificate-authority of the kubeconfig ({words})",
            "Take a new kubeconfig from the server: its authority may have been made anew, or this is another server.",
        )
    return f"its certificate does not verify ({words})", ""


def _cause(said: Mapping[str, Any]) -> str:
    place, words = str(said.get("field") or ""), str(said.get("message") or said.get("reason") or "")
    return printable(f"{place}: {words}" if place else words)


def _with_causes(words: str, causes: tuple[str, ...]) -> str:
    shown = [each for each in causes if each not in words]
    more = f" and {len(shown) - CAUSES} more" if len(shown) > CAUSES else ""
    return f"{words} ({'; '.join(shown[:CAUSES])}{more})" if shown else words


def _is_page(words: str) -> bool:
    return words.startswith("<")


def _is_unknown_name(words: str) -> bool:
    return any(each in words for each in ("Name or service not known", "nodename nor servname", "name resolution"))


def _find(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """The first of ``kind`` among an error and what led to it."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, kind):
        seen = seen.__cause__ or seen.__context__
    return seen


def _seconds(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:
        return None  # a date, which API servers do not send

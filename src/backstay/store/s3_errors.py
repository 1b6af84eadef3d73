"""What an S3 server or the connection to it says, in the words and classes of ``core.errors``.

Codes: the S3 API reference, "Error responses"; further ones as SeaweedFS, MinIO, Ceph and Garage use them. A server's
text is untrusted: it is shortened and stripped of control characters before it becomes part of a message.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from backstay.core.errors import (
    AlreadyExists,
    Denied,
    Locked,
    NotFound,
    StoreError,
    StoreMissing,
    Unavailable,
)

MISSING_BUCKET = frozenset({"NoSuchBucket"})
WRONG_REGION = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})
WRONG_KEYS = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"})
TRY_LATER = frozenset(
    {
        "ConditionalRequestConflict",  # a rival write was under way at the same moment
        "OperationAborted",
        "SlowDown",
        "TooManyRequests",
        "Throttling",
        "ThrottlingException",
        "RequestTimeout",
        "InternalError",
        "ServiceUnavailable",
        "NoSuchUpload",  # something removed the unfinished upload; a new one may succeed
        "BadDigest",  # the bytes were damaged on their way in
        "XAmzContentSHA256Mismatch",
        "IncompleteBody",
    }
)
FULL = frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "EntityTooLarge"})
BUCKET_EXISTS = frozenset({"BucketAlreadyExists", "BucketAlreadyOwnedByYou"})
LOCK_WORDS = re.compile(r"object.?lock|\bworm\b|retention|legal.?hold", re.IGNORECASE)
NO_CREDENTIALS = ("Credential", "Token", "Profile", "SSO", "Login")


def from_response(response: Mapping[str, Any], what: str) -> StoreError:
    """The error for an answer with an error status; ``what`` is ``read s3://bucket/key`` and the like."""
    error, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
    code = str(error.get("Code", ""))
    status = int(metadata.get("HTTPStatusCode", 0))
    said = printable(str(error.get("Message", "")))
    attempts = int(metadata.get("RetryAttempts", 0)) + 1
    kind, why, hint = _kind(code, status, said)
    message = f"cannot {what}: {why}" + (f" ({code}: {said})" if code and not code.isdigit() else "")
    return kind(message, hint=hint, status=status, server_code=code, attempts=attempts)


def from_transport(name: str, detail: str, what: str, endpoint: str) -> StoreError:
    """The error where no answer came; ``name`` is the class of the library's exception, ``detail`` its text."""
    detail = printable(detail)
    if name == "SSLError":
        return Denied(
            f"cannot {what}: the certificate of {endpoint} is not trusted ({detail})",
            hint="If the store has a certificate authority of its own, name its certificate as the store's CA file.",
        )
    if any(word in name for word in NO_CREDENTIALS):
        return Denied(
            f"cannot {what}: no usable S3 credentials ({detail})",
            hint="Give the store an access key by reference, or set up the usual AWS environment, file or role.",
        )
    if name in {"EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError"}:
        return Unavailable(
            f"cannot {what}: nothing answers at {endpoint} ({detail})",
            hint="Check the endpoint's name and port, that the server runs, and the firewall.",
        )
    return Unavailable(f"cannot {what}: the connection to {endpoint} broke ({detail})")


def not_deleted(url: str, failed: Sequence[Mapping[str, Any]]) -> StoreError:
    """The error for a delete of many keys of which some ``failed``, as the answer lists them."""
    first = failed[0]
    code, said = str(first.get("Code", "")), printable(str(first.get("Message", "")))
    status = 503 if code in TRY_LATER else 403 if code == "AccessDenied" else 400
    kind, why, hint = _kind(code, status, said)
    others = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    key = printable(str(first.get("Key", "")))
    return kind(f"cannot delete {key}{others} from {url}: {why} ({code}: {said})", hint=hint, server_code=code)


def printable(text: str) -> str:
    """At most 200 characters of a server's text, on one line, nothing in it that commands a terminal."""
    shown = (character for character in " ".join(text[:1000].split()) if character.isprintable())
    return "".join(shown)[:200]


def _kind(code: str, status: int, said: str) -> tuple[type[StoreError], str, str]:
    """The class, the reason in plain words, and the hint."""
    if code in MISSING_BUCKET:
        return StoreMissing, "the bucket does not exist", "Check its name, or make it: backstay store init."
    if code in WRONG_REGION or status == 301:
        return StoreMissing, "the bucket is in another region", "Set the store's region to the bucket's own."
    if code in TRY_LATER:
        return Unavailable, "the store asks to try again later", ""
    if code == "InvalidObjectState":
        hint = "Ask for a restore from the archive class first; it takes minutes to two days."
        return StoreError, "the object is archived", hint
    if code in FULL or status == 507:
        return StoreError, "the store has no room for it", "Free space or raise the quota; nothing was written."
    if code == "NotImplemented" or status == 501:
        hint = "See what the store can do: backstay store check. Conditional writes can be turned off."
        return StoreError, "the store does not know this request", hint
    if code in BUCKET_EXISTS:
        return (
            AlreadyExists,
            "a bucket of this name exists",
            "The names of buckets are shared by all users of a server.",
        )
    if status == 412 or code == "PreconditionFailed":
        return AlreadyExists, "another write came first", ""
    return _access(code, status, said)


def _access(code: str, status: int, said: str) -> tuple[type[StoreError], str, str]:
    if code == "RequestTimeTooSkewed":
        return Denied, "this machine's clock is wrong", "Set the clock (NTP); S3 allows 15 minutes of difference."
    if code in WRONG_KEYS:
        hint = "Check the access key, the secret key and, for temporary keys, their expiry."
        return Denied, "the store does not accept the credentials", hint
    if status in {400, 403} and LOCK_WORDS.search(said):
        return Locked, "an object lock forbids it", "It can be removed after its retention date."
    if status in {401, 403}:
        hint = "Check the rights of this key. Without s3:ListBucket even an absent object looks denied."
        return Denied, "the credentials do not allow it", hint
    if status == 404:
        return NotFound, "there is no such object", ""
    if status == 429 or status >= 500:
        return Unavailable, f"the store failed with status {status}", ""
    return StoreError, f"the store refused with status {status}", ""

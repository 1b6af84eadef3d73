"""The server token of k3s and RKE2: whether it opens what a snapshot needs for a restore, and what is in there.

A snapshot of k3s is of no use without its token: the CAs and keys of the cluster are in it under ``/bootstrap/``,
encrypted by the token's password. Sources: k3s-io/k3s, pkg/cluster/encrypt.go (the cipher), pkg/cluster/storage.go (the
key's name), pkg/bootstrap/bootstrap.go (the content), pkg/clientaccess/token.go (the token's forms); rke2-docs, "Backup
and Restore" (the token's hash). Whoever has snapshot and token has the cluster's CA keys: nothing here says the token,
or what it opens, in an error or a repr.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backstay.core.errors import SecretError

BOOTSTRAP = "/bootstrap/"
ITERATIONS = 4096
KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16

MAX_TOKEN = 4096
MAX_VALUE = 8 * 2**20  # etcd takes no more than 1.5 MiB by default
MAX_SALT = 256
MAX_FILES = 1000
MAX_CERTIFICATES = 64  # in one file

_K10 = "K10"
_HASH_DIGITS = 64
_AGENT_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")  # as kubeadm has them: an id and a secret, no password
_FORM = "it reads K10<hash>::server:<password>, in server/token of the data folder"
_PEM = b"-----BEGIN CERTIFICATE-----"
_END = b"-----END CERTIFICATE-----"
_ENCRYPTION_CONFIG = "EncryptionConfig"


@dataclass(frozen=True)
class TokenCheck:
    """What a token opens. ``why`` says so in a sentence that can be shown.

    ``files`` are the names in the data; ``expires`` is when the first certificate among them ends, ``expires_name``
    which that is; ``unreadable`` names what looks like a certificate and is none. ``uses_encryption_config``: values in
    the snapshot may be encrypted by the API server, with keys that are in the data too.
    """

    opens: bool
    why: str
    files: tuple[str, ...] = ()
    expires: datetime | None = None
    expires_name: str = ""
    unreadable: tuple[str, ...] = ()
    uses_encryption_config: bool = False


class _Sealed(Exception):
    """A value did not open; the message says why, and holds nothing of what was tried."""


def password_of(token: str) -> str:
    """The password of a token: ``K10<hash of the CA>::server:<password>``, or the password alone.

    Raises ``SecretError`` where k3s would not take the token; the message does not hold it.
    """
    bare = token.strip()
    if not bare or len(bare) > MAX_TOKEN:
        raise SecretError("the server token is empty" if not bare else "the server token is too long")
    first, separator, rest = bare.removeprefix(_K10).partition("::")
    credentials = bare if not bare.startswith(_K10) else rest if separator else first
    if _AGENT_TOKEN.fullmatch(credentials):
        raise SecretError("the token is one by which agents join, not the server's", hint=_FORM)
    if not bare.startswith(_K10):
        return bare
    if separator and len(first) not in {0, _HASH_DIGITS}:
        raise SecretError("the server token is cut: the hash in it is not of its length", hint=_FORM)
    password = credentials.partition(":")[2]
    if not password:
        raise SecretError("the server token has no password in it", hint=_FORM)
    return password


def key_name(password: str) -> str:
    """The key in etcd of what this password encrypts. The twelve digits are also in S3 metadata and snapshot files."""
    return BOOTSTRAP + hashlib.sha256(password.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def check(bootstrap: Mapping[str, bytes], token: str | None) -> TokenCheck:
    """Whether the token opens the bootstrap data of a snapshot (key to value), and what is in there. Raises nothing."""
    if not bootstrap:
        return TokenCheck(opens=False, why="the snapshot has no bootstrap data: it is not of k3s or RKE2, or damaged")
    if token is None:
        return TokenCheck(opens=False, why="no server token was given, so it is not known whether it fits")
    try:
        password = password_of(token)
    except SecretError as error:
        return TokenCheck(opens=False, why=error.message)
    why = "the server token is not the one of this snapshot: its bootstrap data has another token's name"
    for candidate in dict.fromkeys((password, token.strip(), "")):  # old clusters have keys by the last two
        value = bootstrap.get(key_name(candidate))
        if value is None:
            continue
        try:
            return _content(_open(value, candidate))
        except _Sealed as error:
            why = str(error)
            if candidate == password:
                break
    return TokenCheck(opens=False, why=why)


def _open(value: bytes, password: str) -> Any:
    """``<salt>:<base64 of nonce, ciphertext, tag>``; the salt counts as the text it is. Raises ``_Sealed``."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, colon, encoded = value.partition(b":")
    if len(value) > MAX_VALUE or not colon or not 0 < len(salt) <= MAX_SALT:
        raise _Sealed("the bootstrap data is not what k3s writes")
    try:
        sealed = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise _Sealed("the bootstrap data is not what k3s writes") from None
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise _Sealed("the bootstrap data is cut short")
    key = hashlib.pbkdf2_hmac("sha1", password.encode("utf-8", "surrogateescape"), salt, ITERATIONS, KEY_BYTES)
    try:
        plain = AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
    except InvalidTag:
        raise _Sealed("the server token does not open the bootstrap data, or the data is damaged") from None
    try:
        return json.loads(plain)
    except (ValueError, RecursionError):
        raise _Sealed("the bootstrap data opens, and is not what k3s writes") from None


def _content(document: Any) -> TokenCheck:
    """Name to ``{Timestamp, Content}``, or to the content alone as k3s before 1.22 had it. Raises ``_Sealed``."""
    if not isinstance(document, dict) or not 0 < len(document) <= MAX_FILES:
        raise _Sealed("the bootstrap data opens, and is not what k3s writes")
    files = {str(name): _bytes_of(part) for name, part in sorted(document.items())}
    earliest: datetime | None = None
    whose, unreadable = "", []
    for name, content in files.items():
        try:
            ends = min(_ends(content), default=None)
        except ValueError:
            unreadable.append(name)
            continue
        if ends is not None and (earliest is None or ends < earliest):
            earliest, whose = ends, name
    return TokenCheck(
        opens=True,
        why="the server token opens the bootstrap data",
        files=tuple(files),
        expires=earliest,
        expires_name=whose,
        unreadable=tuple(unreadable),
        uses_encryption_config=_encrypts(files.get(_ENCRYPTION_CONFIG, b"")),
    )


def _bytes_of(part: Any) -> bytes:
    content = part.get("Content") if isinstance(part, dict) else part
    if content is None:
        return b""
    try:
        return base64.b64decode(content, validate=True)
    except (TypeError, ValueError):
        raise _Sealed("the bootstrap data opens, and is not what k3s writes") from None


def _ends(content: bytes) -> Iterator[datetime]:
    """When each certificate in a file ends, in UTC. Raises ``ValueError`` for one that cannot be read."""
    from cryptography import x509

    start = content.find(_PEM)
    for _ in range(MAX_CERTIFICATES):
        if start < 0:
            return
        end = content.find(_END, start)
        if end < 0:
            raise ValueError("a certificate is cut short")
        end += len(_END)
        yield x509.load_pem_x509_certificate(content[start:end]).not_valid_after_utc
        start = content.find(_PEM, end)
    raise ValueError("too many certificates")


def _encrypts(config: bytes) -> bool:
    """Whether an EncryptionConfiguration names any provider but ``identity``; one that cannot be read does."""
    if not config.strip():
        return False
    try:
        document = json.loads(config)
        return any(set(one) - {"identity"} for part in document["resources"] for one in part["providers"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return True

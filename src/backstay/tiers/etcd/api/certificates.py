"""The certificate files of a connection: read anew for each one, and looked at when it fails."""

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from backstay.core.errors import SourceError
from backstay.tiers.etcd.controlplane import TlsFiles

NOTHING_ASKED = "Nothing was asked of etcd."


@dataclass(frozen=True)
class Pems:
    """The files as grpc takes them; without a client certificate both are ``None``."""

    ca: bytes
    cert: bytes | None
    key: bytes | None = field(repr=False)


def read(tls: TlsFiles) -> Pems:
    """Read the files. Raises ``SourceError`` for one that is missing, closed to us or not what it should be."""
    ca = _bytes_of(tls.ca)
    _certificates_in(tls.ca, ca)
    if tls.cert is None and tls.key is None:
        return Pems(ca, None, None)
    if tls.cert is None or tls.key is None:
        raise SourceError(
            f"a client certificate and its key belong together, and only {tls.cert or tls.key} is configured",
            hint=NOTHING_ASKED,
        )
    cert, key = _bytes_of(tls.cert), _bytes_of(tls.key)
    _check_pair(tls.cert, cert, tls.key, key)
    return Pems(ca, cert, key)


def client_fault(tls: TlsFiles, now: dt.datetime) -> str:
    """What a server could have against the client certificate, in words that go on from its name; else nothing."""
    if tls.cert is None:
        return "none is configured"
    mine = _certificates_in(tls.cert, _bytes_of(tls.cert))[0]
    if validity := outside_validity(mine, now):
        return f"{tls.cert} {validity}"
    if not any(_signed_by(mine, ca) for ca in _certificates_in(tls.ca, _bytes_of(tls.ca))):
        return f"{tls.cert} is not signed by the CA in {tls.ca} (it names {mine.issuer.rfc4514_string()})"
    return ""


def outside_validity(certificate: x509.Certificate, now: dt.datetime) -> str:
    """``expired on 2026-11-02 at 10:00 UTC``, ``is valid only from ...``, or nothing."""
    if now > certificate.not_valid_after_utc:
        return f"expired on {_written(certificate.not_valid_after_utc)}"
    if now < certificate.not_valid_before_utc:
        return f"is valid only from {_written(certificate.not_valid_before_utc)} on"
    return ""


def _written(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d at %H:%M} UTC"


def _signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        hint = f"Is this machine a server of the cluster, and is the folder mounted? {NOTHING_ASKED}"
        raise SourceError(f"the certificate file {path} is missing", hint=hint) from None
    except PermissionError:
        hint = f"Only root may read the keys of etcd, so Backstay must run as root for this tier. {NOTHING_ASKED}"
        raise SourceError(f"the certificate file {path} is closed to this account", hint=hint) from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}", hint=NOTHING_ASKED) from error


def _certificates_in(path: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise SourceError(f"there is no certificate (PEM) in {path}", hint=NOTHING_ASKED) from error


def _check_pair(cert_path: Path, cert: bytes, key_path: Path, key: bytes) -> None:
    """grpc says nothing of a key that is none, and of one of another certificate something about a handshake."""
    mine = _certificates_in(cert_path, cert)[0]
    try:
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:  # TypeError: it wants a passphrase
        raise SourceError(f"there is no private key (PEM, no passphrase) in {key_path}", hint=NOTHING_ASKED) from error
    if private.public_key() != mine.public_key():
        raise SourceError(
            f"the key in {key_path} is not that of the certificate in {cert_path}",
            hint=f"Were they being renewed just now? Then run it again. {NOTHING_ASKED}",
        )

"""Why no connection came about: one more handshake by the standard library, whose errors are exact.

grpc's words for it differ from version to version, and with TLS 1.3 a server refuses a client's certificate only
after the handshake (RFC 8446, 4.4.2.4), which grpc reports as a closed socket.
"""

import contextlib
import datetime as dt
import socket
import ssl
from dataclasses import dataclass

from cryptography import x509

from backstay.tiers.etcd.api.certificates import client_fault, outside_validity
from backstay.tiers.etcd.controlplane import TlsFiles

PROBE_SECONDS = 3.0
# OpenSSL, x509_vfy.h: X509_V_ERR_*
EXPIRED = {9, 10}
WRONG_NAME = {62, 64}


@dataclass(frozen=True)
class Diagnosis:
    """``kind`` is unreachable, tls, client or nothing; ``message`` goes on from the endpoint's name."""

    kind: str
    message: str
    hint: str


def diagnose(host: str, port: int, tls: TlsFiles | None, now: dt.datetime) -> Diagnosis | None:
    """What is wrong between here and there; ``None`` when a connection comes about. Takes a few seconds at most."""
    try:
        with socket.create_connection((host, port), PROBE_SECONDS) as plain:
            return _try_tls(plain, host, port, tls, now) if tls else _is_tls(plain, host)
    except OSError as error:
        return _unreachable(error)


def _unreachable(error: OSError) -> Diagnosis:
    words = "did not answer in time" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
    return Diagnosis(
        "unreachable",
        f"cannot be reached: {words}",
        "Is etcd running there, and is this its client port (2379)?",
    )


def _is_tls(plain: socket.socket, host: str) -> Diagnosis | None:
    """Whether a server that was asked without TLS wants it. Nothing is sent but a greeting."""
    try:
        with _context(None).wrap_socket(plain, server_hostname=host):
            spoke = True
    except ssl.SSLError as error:
        spoke = "ALERT" in (error.reason or "")
    except OSError:
        spoke = False
    if not spoke:
        return None
    return Diagnosis(
        "tls", "wants TLS, and was asked without", "Write the endpoint with https:// and name the certificates."
    )


def _try_tls(plain: socket.socket, host: str, port: int, tls: TlsFiles, now: dt.datetime) -> Diagnosis | None:
    try:
        with _context(tls).wrap_socket(plain, server_hostname=host) as secured:
            with contextlib.suppress(TimeoutError):
                if secured.recv(1) == b"":  # etcd speaks first (RFC 9113, 3.4), or sends its refusal here
                    return _refused(tls, now, "it closed the connection")
            return None
    except ssl.SSLCertVerificationError as error:
        return _not_trusted(error, host, port, tls, now)
    except ssl.SSLError as error:
        reason = error.reason or ""
        if "ALERT" in reason:
            return _refused(tls, now, reason.lower().replace("_", " "))
    except ConnectionError:
        pass
    return Diagnosis(
        "tls",
        "does not speak TLS",
        "Is this etcd's client port (2379)? One without TLS is written http://, and must be on this machine.",
    )


def _refused(tls: TlsFiles, now: dt.datetime, said: str) -> Diagnosis:
    fault = client_fault(tls, now)
    return Diagnosis(
        "client",
        f"refused the client certificate: {fault or f'{tls.cert} ({said})'}",
        "k3s and RKE2 renew their certificates when the service starts: restart it, and run this again."
        if "expired" in fault
        else "Use a client certificate that the CA of etcd signed, such as the one of the API server.",
    )


def _not_trusted(
    error: ssl.SSLCertVerificationError, host: str, port: int, tls: TlsFiles, now: dt.datetime
) -> Diagnosis:
    shown = _shown(host, port, tls)
    if error.verify_code in WRONG_NAME:
        names = f"it is for {', '.join(_names(shown))}" if shown else error.verify_message
        hint = "Use one of these names as endpoint; Backstay does not talk to a server of another name."
        return Diagnosis("tls", f"shows a certificate that is not for {host}: {names}", hint)
    if error.verify_code in EXPIRED:
        when = (outside_validity(shown, now) if shown else "") or f"or its CA's: {error.verify_message}"
        hint = "Is the clock right? k3s and RKE2 renew their certificates when the service starts."
        return Diagnosis("tls", f"shows a certificate that is not valid now: {when}", hint)
    issuer = f"; it was signed by {shown.issuer.rfc4514_string()}" if shown else ""
    return Diagnosis(
        "tls",
        f"shows a certificate that the CA in {tls.ca} did not sign ({error.verify_message}){issuer}",
        "Name the CA of etcd itself, which is not that of the API server. Was the cluster set up anew?",
    )


def _shown(host: str, port: int, tls: TlsFiles) -> x509.Certificate | None:
    """The certificate the server shows, trusted or not: to say what is wrong with it."""
    context = _context(tls)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), PROBE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            der = secured.getpeercert(binary_form=True)
    except OSError:
        return None
    return x509.load_der_x509_certificate(der) if der else None


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ["no name at all"]
    return [str(name.value) for name in names]


def _context(tls: TlsFiles | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca) if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13 is stricter than grpc, which this explains
    context.set_alpn_protocols(["h2"])
    if tls is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.cert:
        context.load_cert_chain(tls.cert, tls.key)
    return context

"""TLS and credentials of a connection to the API server: certificates, tokens, and programs that give either.

Programs: kubernetes.io, "client-go credential plugins", and KEP-541 (``client.authentication.k8s.io`` v1 and v1beta1).
They are run without a shell and without a terminal. Private keys go from the kubeconfig to OpenSSL through memory only.
"""

import base64
import binascii
import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from lightkube.config.client_adapter import user_auth

from backstay.cluster.kubeconfig import Configuration, Exec, User
from backstay.cluster.proc import run, secret_file
from backstay.core.errors import ClusterDenied, ConfigError, ToolError, ToolMissing

PLUGIN_SECONDS = 60.0
API = "client.authentication.k8s.io"
VERSIONS = frozenset({f"{API}/v1", f"{API}/v1beta1"})
EARLY_SECONDS = 10.0  # a token is renewed so long before it expires
HTTP_UNAUTHORIZED = 401


def tls(found: Configuration, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> ssl.SSLContext:
    """What the connection trusts, and the client certificate it shows.

    Raises ``ConfigError`` (a file that is missing or is no certificate), ``ClusterDenied`` for a certificate that has
    expired.
    """
    cluster, user = found.cluster, found.user
    authority = _pem(cluster.certificate_auth_data, cluster.certificate_auth, found, "certificate-authority")
    if cluster.insecure:  # the kubeconfig itself says so: the user's word
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        try:
            context = ssl.create_default_context(cadata=authority or None)
        except (ssl.SSLError, ValueError) as error:
            raise ConfigError(f"{found.source}: the certificate-authority holds no certificate") from error
        # From Python 3.13 on the default; it refuses the authorities of EKS, microk8s and others, which lack key
        # identifiers or usages (kubernetes-client/python#2394, canonical/microk8s#4864). Chain, dates and names stay.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    certificate = _pem(user.client_cert_data, user.client_cert, found, "client-certificate")
    if certificate:
        _check_dates(certificate, found.source, now())
        key = _pem(user.client_key_data, user.client_key, found, "client-key")
        load_certificate(context, certificate, key, found.source)
    return context


def auth(found: Configuration, context: ssl.SSLContext) -> httpx2.Auth | None:
    """What is put on each request. Raises ``ConfigError``."""
    user = found.user
    if user.exec and not (user.token or user.token_file):
        return ExecPlugin(user.exec, found, context)
    if user.token_file and not os.access(user.token_file, os.R_OK):
        raise ConfigError(f"{found.source}: the token file {user.token_file} cannot be read")
    return user_auth(user)


def impersonation(user: User) -> list[tuple[str, str]]:
    """Headers for ``as``, ``as-uid`` and ``as-groups``."""
    headers = [("Impersonate-User", user.as_user or ""), ("Impersonate-Uid", user.as_uid or "")]
    headers += [("Impersonate-Group", group) for group in user.as_groups or []]
    return [(name, value) for name, value in headers if value]


def load_certificate(context: ssl.SSLContext, certificate: str, key: str, source: str) -> None:
    """Have ``context`` show ``certificate`` (PEM, with its chain) from now on. Raises ``ConfigError``."""
    try:
        with secret_file(f"{certificate}\n{key}\n") as (path, _):
            context.load_cert_chain(path, password=lambda: b"")
    except (ssl.SSLError, OSError, ValueError) as error:
        mismatch = getattr(error, "reason", None) == "KEY_VALUES_MISMATCH"
        why = "do not belong together" if mismatch else "cannot be read (PEM, without a passphrase)"
        raise ConfigError(f"{source}: the client certificate and its key {why}") from error


class ExecPlugin(httpx2.Auth):
    """Credentials from a program: a token, or a client certificate, kept until they expire or the server says 401."""

    def __init__(
        self,
        plugin: Exec,
        found: Configuration,
        context: ssl.SSLContext,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._plugin = plugin
        self._found = found
        self._context = context
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._certificate = ""
        self._until = float("-inf")
        self._runs = 0
        if plugin.apiVersion not in VERSIONS:
            raise ConfigError(
                f"{found.source}: the exec plugin speaks {plugin.apiVersion}",
                hint=f"Backstay knows {', '.join(sorted(VERSIONS))}; update the plugin and its configuration.",
            )
        if plugin.interactive_mode == "Always":
            raise ConfigError(
                f"{found.source}: the exec plugin {plugin.command} wants a terminal (interactiveMode: Always)",
                hint="Use a service account's token, or a plugin that needs nobody.",
            )

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """As httpx2 calls it: the request with credentials, and once more with new ones if they are not accepted."""
        run = self._renewed(-1)
        self._put_on(request)
        response = yield request
        if response.status_code == HTTP_UNAUTHORIZED and self._renewed(run) != run:
            self._put_on(request)
            yield request

    def _renewed(self, refused: int) -> int:
        """The number of the run that gave what is at hand; a new run where that has expired, or was ``refused``."""
        with self._lock:
            if self._runs == refused or self._clock() >= self._until - EARLY_SECONDS:
                self._take(self._run())
                self._runs += 1
            return self._runs

    def _put_on(self, request: httpx2.Request) -> None:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        if self._certificate:
            request.headers["Connection"] = "close"  # a connection kept open would go on showing an old one

    def _run(self) -> Mapping[str, Any]:
        plugin = self._plugin
        env = {**self._found.env, **{each.name: each.value for each in plugin.env or []}}
        env["KUBERNETES_EXEC_INFO"] = json.dumps(self._info())
        argv = [plugin.command, *(plugin.args or [])]
        what = f"{self._found.source}: the exec plugin {Path(plugin.command).name}"
        try:
            said = run(argv, env=env, deadline=PLUGIN_SECONDS)
        except ToolMissing as error:
            raise ConfigError(f"{what} cannot be run: {error}", hint=plugin.installHint or error.hint) from error
        except ToolError as error:
            raise ClusterDenied(f"{what} failed: {error}", hint="Log in again with it.") from error
        try:
            given = json.loads(said)
        except ValueError:
            given = None
        status = given.get("status") if isinstance(given, dict) else None
        if not isinstance(status, dict) or given.get("apiVersion") != plugin.apiVersion:
            # Not what it said: that may be a secret.
            raise ClusterDenied(f"{what} did not answer with an ExecCredential of {plugin.apiVersion}")
        return status

    def _take(self, status: Mapping[str, Any]) -> None:
        token, certificate = str(status.get("token") or ""), str(status.get("clientCertificateData") or "")
        if not token and not certificate:
            raise ClusterDenied(f"{self._found.source}: the exec plugin gave neither a token nor a certificate")
        if certificate and certificate != self._certificate:
            load_certificate(
                self._context, certificate, str(status.get("clientKeyData") or ""), f"{self._found.source}, exec plugin"
            )
        self._token, self._certificate = token, certificate
        self._until = float("inf")
        if status.get("expirationTimestamp"):
            try:
                self._until = datetime.fromisoformat(str(status["expirationTimestamp"])).timestamp()
            except ValueError:
                raise ClusterDenied(
                    f"{self._found.source}: the exec plugin gave no valid expirationTimestamp"
                ) from None

    def _info(self) -> dict[str, Any]:
        spec: dict[str, Any] = {"interactive": False}
        if self._plugin.provide_cluster_info:
            cluster = self._found.cluster
            authority = _pem(
                cluster.certificate_auth_data, cluster.certificate_auth, self._found, "certificate-authority"
            )
            spec["cluster"] = {
                "server": cluster.server,
                "insecure-skip-tls-verify": cluster.insecure,
                **({"tls-server-name": cluster.tls_server_name} if cluster.tls_server_name else {}),
                **({"proxy-url": cluster.proxy_url} if cluster.proxy_url else {}),
                **({"certificate-authority-data": _base64(authority)} if authority else {}),
            }
        return {"apiVersion": self._plugin.apiVersion, "kind": "ExecCredential", "spec": spec}


def _pem(data: str | None, path: str | None, found: Configuration, key: str) -> str:
    """The text of a certificate or key given in place (which wins, as with kubectl) or as a file; empty if neither."""
    try:
        if data:
            return base64.b64decode(data, validate=False).decode()
        return Path(path).read_text() if path else ""
    except (binascii.Error, UnicodeDecodeError):
        raise ConfigError(f"{found.source}: the {key} is not PEM" + (" in base64" if data else "")) from None
    except OSError as error:
        raise ConfigError(f"{found.source}: the {key} {path} cannot be read: {error.strerror}") from error


def _check_dates(certificate: str, source: str, now: datetime) -> None:
    from cryptography import x509

    try:
        shown = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError:
        raise ConfigError(f"{source}: the client-certificate is not a certificate in PEM") from None
    if shown.not_valid_after_utc <= now:
        raise ClusterDenied(
            f"{source}: the client certificate expired on {shown.not_valid_after_utc:%Y-%m-%d}",
            hint="Take a new kubeconfig from the server: k3s renews /etc/rancher/k3s/k3s.yaml when it starts, kubeadm "
            "admin.conf with: kubeadm certs renew admin.conf.",
        )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

"""One gRPC channel to one endpoint of etcd. Nothing else imports grpc, and this only when a channel is opened.

Messages go in and out as bytes: grpc does the framing, ``wire`` the rest. Sources: grpc's C-core, grpc_types.h
(channel arguments) and doc/environment_variables.md.
"""

import ipaddress
import os
import threading
import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from backstay.core.errors import UsageError
from backstay.tiers.etcd import wire
from backstay.tiers.etcd.api import trouble
from backstay.tiers.etcd.controlplane import TlsFiles

CALL_SECONDS = 10.0
DEFAULT_PORT = 2379
T = TypeVar("T")
OPTIONS = (
    ("grpc.max_receive_message_length", -1),  # a page of large objects; a snapshot comes in blobs of 32 KiB
    ("grpc.enable_http_proxy", 0),  # etcd is never behind the proxy of HTTPS_PROXY
    ("grpc.use_local_subchannel_pool", 1),  # a new channel makes a new connection, with the certificates of now
    ("grpc.enable_retries", 0),
)


class Connection:
    """Calls to one endpoint. A context manager; see ``EtcdClient``."""

    def __init__(self, endpoint: str, tls: TlsFiles | None = None) -> None:
        self.endpoint = endpoint
        scheme, host, port = address(endpoint)
        self._address = (host, port)
        self._tls = tls if scheme == "https" else None
        self._channel: Any = _open(endpoint, tls)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.endpoint}>"

    def unary(self, method: str, request: bytes, read: Callable[[bytes], T], *, seconds: float = CALL_SECONDS) -> T:
        """One question, one answer: ``method`` such as ``Maintenance/Status``, ``read`` takes the answer apart.

        Raises ``SourceError``, also when no answer came in ``seconds`` or ``read`` finds it ``wire.Malformed``.
        """
        call = self._channel.unary_unary(f"/etcdserverpb.{method}", _as_is, _as_is)
        try:
            return read(call(request, timeout=seconds))
        except _rpc_error() as error:
            raise self._explained(error, method, seconds) from error
        except wire.Malformed as error:
            raise trouble.garbled(self.endpoint, method, error) from error

    def stream(
        self, method: str, request: bytes, read: Callable[[bytes], T], *, stall_seconds: float
    ) -> Generator[T, None, None]:
        """The answers to one question as they come; closing it ends the call.

        Raises as ``unary``, and when nothing came for ``stall_seconds``. The time between taking one answer and asking
        for the next, when the caller is at work, does not count.
        """
        call = self._channel.unary_stream(f"/etcdserverpb.{method}", _as_is, _as_is)(request)
        with _Watchdog(call, stall_seconds) as watchdog:
            while True:
                watchdog.waiting_since = time.monotonic()
                try:
                    answer: bytes = next(call)
                    watchdog.waiting_since = None
                    found = read(answer)
                except StopIteration:
                    return
                except _rpc_error() as error:
                    if watchdog.bit:
                        raise trouble.stalled(self.endpoint, method, stall_seconds) from error
                    raise self._explained(error, method, stall_seconds) from error
                except wire.Malformed as error:
                    raise trouble.garbled(self.endpoint, method, error) from error
                yield found

    def close(self) -> None:
        """End it, and all calls on it. Safe to call twice."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _explained(self, error: Any, method: str, limit: float) -> Exception:
        code, details = error.code().name, error.details() or ""
        return trouble.explain(code, details, self.endpoint, self._address, self._tls, method, limit)


class _Watchdog:
    """Cancels a call when nothing came for so long. grpc's own deadline is for the whole of a call."""

    def __init__(self, call: Any, stall_seconds: float) -> None:
        self.waiting_since: float | None = None
        self.bit = False
        self._call = call
        self._limit = stall_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="etcd-stream-watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._call.cancel()  # when the caller stops early; nothing after the end
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(min(1.0, self._limit / 10)):
            since = self.waiting_since
            if since is not None and time.monotonic() - since > self._limit:
                self.bit = True
                self._call.cancel()
                return


def address(endpoint: str) -> tuple[str, str, int]:
    """Scheme, host and port of ``endpoint``. Raises ``UsageError`` for what is no endpoint of etcd."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port or DEFAULT_PORT
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.username:
        raise UsageError(
            f"{endpoint!r} is not an endpoint of etcd", hint="Write it as https://127.0.0.1:2379. Nothing was asked."
        )
    return parts.scheme, parts.hostname, port


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine by its name or number; nothing is looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _open(endpoint: str, tls: TlsFiles | None) -> Any:
    scheme, host, port = address(endpoint)
    target = f"dns:///[{host}]:{port}" if ":" in host else f"dns:///{host}:{port}"
    if scheme == "http":
        if not is_loopback(host):
            raise UsageError(
                f"{endpoint} has no TLS, and is not on this machine",
                hint="A snapshot holds every Secret of the cluster: use https:// with the certificates of etcd. "
                "Nothing was asked.",
            )
        return _grpc().insecure_channel(target, options=OPTIONS)
    if tls is None:
        raise UsageError(
            f"{endpoint} wants TLS, and no certificates are configured",
            hint="Name the CA, the client certificate and its key. Nothing was asked.",
        )
    from backstay.tiers.etcd.api.certificates import read

    pems = read(tls)
    grpc = _grpc()
    credentials = grpc.ssl_channel_credentials(pems.ca, pems.key, pems.cert)
    return grpc.secure_channel(target, credentials, options=OPTIONS)


def _grpc() -> Any:
    """The module; quiet, for it would write its own lines about failed handshakes to stderr."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import grpc  # type: ignore[import-untyped]

    return grpc


def _rpc_error() -> type[Exception]:
    kind: type[Exception] = _grpc().RpcError
    return kind


def _as_is(data: bytes) -> bytes:
    return data

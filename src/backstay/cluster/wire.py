"""Requests to one API server over kept connections, sent again where that may help, for a bounded time.

Waits double with full jitter (a random part of the whole delay), as in ``store.wrap.retrying``; what the server says in
Retry-After comes first.
"""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from random import random
from typing import Any, TypeVar

import httpx2
import msgspec
from lightkube.core.exceptions import ConfigError as LightkubeConfigError

from backstay import __version__
from backstay.cluster import credentials
from backstay.cluster.answers import (
    Asked,
    Refusal,
    Refused,
    error_of,
    error_of_transport,
    is_near,
    not_json,
    read_refusal,
)
from backstay.cluster.kubeconfig import Configuration
from backstay.core.errors import ConfigError

Result = TypeVar("Result")

CONNECTIONS = 32
KEPT = 16  # one for each thread of a backup
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
REFUSAL_BYTES = 256 << 10
URLS = 512
RETRIED = frozenset({429, 500, 502, 503, 504})
SURELY_NOT_DONE = frozenset({429, 503})
NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


@dataclass(frozen=True)
class Patience:
    """How long requests are repeated (``seconds`` in all for one; ``first_seconds`` while the server has never answered
    anything, which is most likely a wrong address), how long the waits are, and by whose clock and dice."""

    seconds: float = 30.0
    first_seconds: float = 3.0
    delay_seconds: float = 0.25
    max_delay_seconds: float = 5.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    uniform: Callable[[], float] = field(default=random, repr=False)


class Wire:
    """The connections to one API server, as one user. Safe from several threads. ``warned`` hears each ``Warning`` that
    the server adds to an answer (a field it does not know, an API that is going to end)."""

    def __init__(
        self, found: Configuration, patience: Patience, warned: Callable[[str], None] = lambda _words: None
    ) -> None:
        self.url = found.cluster.server.rstrip("/")
        self.source = found.source
        self._patience = patience
        self._warned = warned
        self._answered = False
        self.client = _client(found)
        # Thousands of requests are alike but for their bodies, and making a URL or headers takes longer than sending.
        self._url_of = lru_cache(URLS)(self._make_url)
        self._headers_of = lru_cache(URLS)(self._make_headers)

    def json(self, asked: Asked, kind: type[Result], *, seconds: float | None = None) -> Result:
        """The answer, decoded as ``kind``: ``dict`` or a ``msgspec.Struct``. Raises ``ClusterError`` and its kinds."""

        def read(response: httpx2.Response) -> Result:
            body = response.read()
            return self.decode(body, kind, asked, response.status_code)

        return self.send(asked, read, seconds=seconds)

    def decode(self, body: bytes | bytearray, kind: type[Result], asked: Asked, status: int = 200) -> Result:
        """JSON as ``kind``, or the error that says what came instead."""
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise not_json(asked, self.url, status, bytes(body[:1000])) from error

    def send(self, asked: Asked, read: Callable[[httpx2.Response], Result], *, seconds: float | None = None) -> Result:
        """What ``read`` makes of the answer; again, from the beginning, where the answer or half of it was lost.

        The error's ``context["resent"]`` says whether an earlier attempt may have been carried out.
        """
        tries = _Tries(self._patience, seconds)
        while True:
            try:
                with self.open(asked) as response:
                    return read(response)
            except Refused as error:
                refusal = error.refusal
                failure = error_of(refusal, asked, self.url, self.source)
                if not (self._may_repeat(refusal, asked, tries) and tries.wait(refusal.retry_after, self._answered)):
                    failure.context["resent"] = tries.lost
                    raise failure from error
                tries.lost = tries.lost or refusal.status not in SURELY_NOT_DONE
            except (httpx2.TransportError, httpx2.DecodingError, httpx2.StreamError, ssl.SSLError) as error:
                failure = error_of_transport(error, asked, self.url)
                sent = not isinstance(error, NEVER_SENT)
                trusted = "certificate" not in failure.context
                if not (trusted and (asked.again or not sent) and tries.wait(None, self._answered)):
                    failure.context["resent"] = tries.lost or sent
                    raise failure from error
                tries.lost = tries.lost or sent

    @contextmanager
    def open(self, asked: Asked, *, read_seconds: float = READ_SECONDS) -> Iterator[httpx2.Response]:
        """One attempt: the answer, whose body is still to be read. Raises ``Refused``, and what httpx2 raises."""
        timeout = httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, read=read_seconds)
        request = httpx2.Request(
            asked.method,
            self._url_of(asked.path, asked.params),
            headers=self._headers_of(tuple(asked.headers.items())),
            content=asked.content,
            extensions={"timeout": timeout.as_dict()},
        )
        try:
            response = self.client.send(request, stream=True)
        except LightkubeConfigError as error:  # a token file that is gone
            raise ConfigError(f"{self.source}: {error}") from error
        try:
            self._answered = True
            for words in response.headers.get_list("warning"):
                self._warned(_warning(words))
            if response.status_code >= httpx2.codes.BAD_REQUEST:
                raise Refused(read_refusal(response.status_code, response.headers, _begin(response)))
            if response.is_redirect or "json" not in response.headers.get("content-type", ""):
                raise not_json(asked, self.url, response.status_code, _begin(response))
            yield response
        finally:
            response.close()

    def _make_url(self, path: str, params: tuple[tuple[str, str], ...]) -> httpx2.URL:
        return self.client.build_request("GET", path, params=params).url

    def _make_headers(self, headers: tuple[tuple[str, str], ...]) -> httpx2.Headers:
        return self.client.build_request("GET", "", headers={"Accept": "application/json", **dict(headers)}).headers

    def _may_repeat(self, refusal: Refusal, asked: Asked, tries: "_Tries") -> bool:
        """A webhook that cannot be called is asked once more; everything else as long as patience lasts."""
        if refusal.status not in RETRIED or (refusal.of_webhook and tries.failed):
            return False
        return asked.again or refusal.status in SURELY_NOT_DONE


class _Tries:
    """The attempts at one request."""

    def __init__(self, patience: Patience, seconds: float | None) -> None:
        self._patience = patience
        self._seconds = patience.seconds if seconds is None else seconds
        self._begun = patience.clock()
        self.failed = 0
        self.lost = False  # whether one may have been carried out without our knowing

    def wait(self, asked_seconds: float | None, answered: bool) -> bool:
        """Whether there is time for another attempt; returns when it is due."""
        patience = self._patience
        longest = min(patience.max_delay_seconds, patience.delay_seconds * 2**self.failed)
        delay = longest * patience.uniform() if asked_seconds is None else max(asked_seconds, patience.delay_seconds)
        self.failed += 1
        allowed = self._seconds if answered else min(self._seconds, patience.first_seconds)
        if patience.clock() - self._begun + delay > allowed:
            return False
        patience.sleep(delay)
        return True


def query(**params: Any) -> tuple[tuple[str, str], ...]:
    """Parameters of a request; those without a value are left out."""
    return tuple((name, "true" if value is True else str(value)) for name, value in params.items() if value)


def _client(found: Configuration) -> httpx2.Client:
    cluster = found.cluster
    context = credentials.tls(found)
    # On loopback nothing is gained by fewer bytes (docs/decisions/0018).
    near = is_near(found.host) or cluster.disable_compression
    headers = [("User-Agent", f"backstay/{__version__}"), ("Accept-Encoding", "identity" if near else "gzip")]
    hooks: dict[str, list[Callable[..., Any]]] = {"response": [_keep_refusal]}
    if cluster.tls_server_name:
        name = cluster.tls_server_name

        def ask_for(request: httpx2.Request) -> None:
            request.extensions = {**request.extensions, "sni_hostname": name}

        hooks["request"] = [ask_for]
    try:
        return httpx2.Client(
            base_url=cluster.server,
            verify=context,
            auth=credentials.auth(found, context),
            headers=[*headers, *credentials.impersonation(found.user)],
            timeout=httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=KEPT, keepalive_expiry=60),
            proxy=cluster.proxy_url,
            trust_env=not is_near(found.host),
            event_hooks=hooks,
        )
    except (ValueError, ImportError, httpx2.InvalidURL) as error:
        raise ConfigError(f"{found.source}: proxy-url or server cannot be used: {error}") from error


def _keep_refusal(response: httpx2.Response) -> None:
    """Why a WebSocket was refused; httpx2 would close the answer before it can be read."""
    refused = response.status_code != httpx2.codes.SWITCHING_PROTOCOLS
    if response.request.headers.get("upgrade") == "websocket" and refused:
        response.read()


def _begin(response: httpx2.Response) -> bytes:
    """The begin of a body, which may be of any length."""
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) >= REFUSAL_BYTES:
            break
    return body


def _warning(words: str) -> str:
    """The text of ``299 - "unknown field \\"spec.x\\""`` (RFC 7234, section 5.5)."""
    _, quote, text = words.partition('"')
    return text.removesuffix('"').replace('\\"', '"') if quote else words

"""A command in a container, over a WebSocket (KEP-4006): input goes in while output comes out.

The channels and how a command ended are read with lightkube; its own driver writes all input before it reads, which
stops for ever at a command that answers before it has read all. Version 5 of the protocol (Kubernetes 1.30) is the
first that can say where input ends.
"""

import threading
import time
from collections.abc import Sequence

import httpx2
from httpx2.websockets import HTTPXWSException, WebSocketSession, WebSocketUpgradeError
from lightkube.core.exceptions import ApiError
from lightkube.core.websocket import CLOSE_STDIN, STDIN_BYTES, BaseWebsocketDriver, ExecAccumulator

from backstay.cluster.answers import Asked, error_of, error_of_transport, printable, read_refusal
from backstay.cluster.base import Executed
from backstay.cluster.wire import Wire
from backstay.core.errors import ClusterError, ClusterUnreachable

OUTPUT_BYTES = 64 << 10
PIECE_BYTES = 32 << 10
MESSAGE_BYTES = 4 << 20


class Tail:
    """The end of what was written to it. lightkube takes it for a file."""

    def __init__(self, most: int = OUTPUT_BYTES) -> None:
        self._most = most
        self._kept = bytearray()

    def write(self, data: bytes) -> int:
        """Take ``data``, and forget what is too long ago."""
        self._kept += data
        del self._kept[: -self._most]
        return len(data)

    def value(self) -> bytes:
        """At most the last 64 KiB."""
        return bytes(self._kept)


def execute(
    wire: Wire, namespace: str, pod: str, argv: Sequence[str], container: str, stdin: bytes, timeout: float
) -> Executed:
    """As ``Cluster.execute``. Nothing is repeated: the command may have run."""
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec"
    asked = Asked("GET", path, "run a command in", "pods", namespace, pod)
    params: list[tuple[str, str | int | float | bool | None]] = [("command", word) for word in argv]
    params += [("stdout", "true"), ("stderr", "true")]
    params += [("container", container)] if container else []
    params += [("stdin", "true")] if stdin else []
    end = time.monotonic() + timeout
    try:
        with wire.client.websocket(
            f"{wire.url}{path}",
            subprotocols=BaseWebsocketDriver.PROTOCOLS,
            params=httpx2.QueryParams(params),
            max_message_size_bytes=MESSAGE_BYTES,
        ) as session:
            return _talk(session, stdin, end, asked)
    except WebSocketUpgradeError as error:
        response = error.response
        refusal = read_refusal(response.status_code, response.headers, response.read())
        raise error_of(refusal, asked, wire.url, wire.source) from error
    except TimeoutError as error:
        raise ClusterError(f"cannot {asked.what}: it did not end within {timeout:g} s") from error
    except HTTPXWSException as error:
        raise ClusterUnreachable(f"cannot {asked.what}: the connection broke before the command ended") from error
    except httpx2.TransportError as error:
        raise error_of_transport(error, asked, wire.url) from error
    except ApiError as error:
        raise ClusterError(f"cannot {asked.what}: {printable(str(error.status.message or ''))}") from error


def _talk(session: WebSocketSession, stdin: bytes, end: float, asked: Asked) -> Executed:
    if stdin and session.subprotocol != BaseWebsocketDriver.PROTOCOLS[0]:
        raise ClusterError(
            f"cannot {asked.what}: the server cannot be told where the command's input ends",
            hint="Input for commands needs Kubernetes 1.30 or newer.",
        )
    out, err = Tail(), Tail()
    accumulator = ExecAccumulator(stdout=out, stderr=err, raise_on_error=False, decode=None)  # type: ignore[arg-type]
    if stdin:
        threading.Thread(target=_feed, args=(session, stdin), name="exec stdin", daemon=True).start()
    while True:
        message = session.receive_bytes(timeout=max(0.0, end - time.monotonic()))
        ended = accumulator.feed(message[0], message[1:]) if message else None
        if ended is not None:
            return Executed(ended.exit_code, out.value(), err.value())


def _feed(session: WebSocketSession, stdin: bytes) -> None:
    """Write ``stdin`` and end it. A command that does not want all of it has ended, or says so itself."""
    try:
        for start in range(0, len(stdin), PIECE_BYTES):
            session.send_bytes(STDIN_BYTES + stdin[start : start + PIECE_BYTES])
        session.send_bytes(CLOSE_STDIN)
    except Exception:  # noqa: BLE001 - the reading side sees the same broken connection, and tells
        return

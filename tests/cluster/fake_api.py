"""An HTTP server that answers as a test says: for what no real API server can be made to do when it should.

with FakeApi() as api:
    api.on("/version", {"gitVersion": "v1.37.0"})
    api.on("/api/v1/pods", Answer(429, status("TooManyRequests"), {"Retry-After": "1"}), pods)   # in turn; the last stays
    api.client().version()
"""  # noqa: E501

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from backstay.cluster.client import Client, Patience
from backstay.cluster.kubeconfig import Cluster, Configuration, User

CUT = "cut"  # the connection ends before the answer
HALF = "half"  # the connection ends within the body


@dataclass
class Answer:
    """One answer: an object as JSON, or bytes as they are; lines are sent one by one."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""


@dataclass
class Request:
    """One request that came."""

    method: str
    path: str
    params: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    def __getitem__(self, name: str) -> str:
        return dict(self.params).get(name, "")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: "FakeApi"

    def serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        request = Request(self.command, parts.path, parse_qsl(parts.query), dict(self.headers.items()), body)
        answer = self.api.answer(request)
        if callable(answer):
            answer = answer(request)
        if callable(answer):  # it takes over the connection
            answer(self)
            self.close_connection = True
            return
        self.send(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815

    def send(self, answer: Answer) -> None:
        if answer.fault == CUT:
            self.close_connection = True
            return
        raw = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(raw)), **answer.headers}
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if answer.fault == HALF else raw)
        self.close_connection = self.close_connection or answer.fault == HALF

    def log_message(self, *words: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *words: Any) -> None:
        """Clients that go away are part of the tests."""


class FakeApi:
    """A context manager. ``asked`` has all requests."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        handler = type("Bound", (Handler,), {"api": self})
        self._server = Server(("127.0.0.1", 0), handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"
        self.asked: list[Request] = []
        self.slept: list[float] = []
        self.warnings: list[str] = []
        self._answers: dict[str, list[Any]] = {}
        self._lock = threading.Lock()

    def on(self, path: str, *answers: Any) -> None:
        """Objects, ``Answer``s, or functions of the request that give one."""
        self._answers[path] = [a if isinstance(a, Answer) or callable(a) else Answer(body=a) for a in answers]

    def answer(self, request: Request) -> Answer | Callable[..., Any]:
        with self._lock:
            self.asked.append(request)
            left = self._answers.get(request.path)
            if not left:
                return Answer(404, status("NotFound", "the server could not find the requested resource", 404))
            return left.pop(0) if len(left) > 1 else left[0]

    def client(self, user: User | None = None, cluster: Cluster | None = None) -> Client:
        """One whose time passes only when it sleeps."""
        patience = Patience(sleep=self.slept.append, clock=lambda: sum(self.slept), uniform=lambda: 1.0)
        found = Configuration("test.yaml, context test", cluster or Cluster(server=self.url), user or User())
        return Client(found, patience, self.warnings.append)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.02), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def status(reason: str, message: str = "", code: int = 500, **more: Any) -> dict[str, Any]:
    """What an API server says when it refuses."""
    said = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    return {**said, "reason": reason, "code": code, **more}


def refusal(code: int, reason: str, message: str = "", **more: Any) -> Answer:
    """The same as an answer."""
    return Answer(code, status(reason, message, code, **more))

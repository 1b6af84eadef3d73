"""A few lines of HTTP to a Kubernetes API server, for tests: what they assert must not rest on what they test."""

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

REQUEST_SECONDS = 30.0
WAIT_SECONDS = 30.0

Object = dict[str, Any]


class ApiError(Exception):
    """An answer that is no success: its HTTP status, its reason (``NotFound``), and the server's own message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


class Api:
    """One API server seen by one user; paths are its own: ``/api/v1/namespaces/default/pods``."""

    def __init__(self, url: str, ca: Path, token: str) -> None:
        self.url = url
        self._token = token
        self._tls = ssl.create_default_context(cafile=str(ca))

    def get(self, path: str) -> Object:
        """One object, or a list."""
        return json.loads(self.call("GET", path))

    def post(self, path: str, body: Object) -> Object:
        """Create an object below the path of its kind."""
        return json.loads(self.call("POST", path, body))

    def patch(self, path: str, body: Object) -> Object:
        """Change an object by a JSON merge patch."""
        return json.loads(self.call("PATCH", path, body))

    def delete(self, path: str) -> None:
        """Delete an object; what it owns goes in the background."""
        self.call("DELETE", path, {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"})

    def call(self, method: str, path: str, body: Object | None = None) -> bytes:
        """The body of the answer. Raises ``ApiError``, and ``OSError`` when there is none."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        request = urllib.request.Request(  # noqa: S310 - the address is that of our own server
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": kind},
        )
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS, context=self._tls) as answer:  # noqa: S310
                return answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise _api_error(error.code, error.read()) from None

    def wait(self, path: str, until: Callable[[Object], object], seconds: float = WAIT_SECONDS) -> Object:
        """What is at ``path``, as soon as ``until`` is true of it; what is not there yet is waited for."""
        last: object = None
        for _ in moments(seconds):
            try:
                last = self.get(path)
                if until(last):
                    return last
            except ApiError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                last = error
        raise AssertionError(f"not within {seconds:.0f} s: {path} is {str(last)[:3000]}")

    def wait_gone(self, path: str, seconds: float = WAIT_SECONDS) -> None:
        """Until there is nothing at ``path``."""
        for _ in moments(seconds):
            with not_found() as missing:
                last = self.get(path)
            if missing:
                return
        raise AssertionError(f"still there after {seconds:.0f} s: {path} is {str(last)[:3000]}")


@contextmanager
def not_found() -> Iterator[list[ApiError]]:
    """A block that may ask for what is not there; the list is not empty afterwards if it did."""
    missing: list[ApiError] = []
    try:
        yield missing
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        missing.append(error)


def moments(seconds: float, pause: float = 0.1) -> Iterator[float]:
    """The seconds passed, again and again until the time is over; with a pause between."""
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        yield passed
        time.sleep(pause)


def _api_error(status: int, body: bytes) -> ApiError:
    try:
        said = json.loads(body)
        return ApiError(status, said.get("reason", ""), said.get("message", ""))
    except (ValueError, AttributeError):
        return ApiError(status, "", body.decode(errors="replace")[:500])

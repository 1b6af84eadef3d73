"""A server that answers with what was not asked for, as no real one does on purpose: nothing wrong may get through."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from backstay.core.errors import Corrupt, StoreError, Unavailable
from backstay.store.s3 import S3Options, S3Store
from tests.fixtures.stores import MOTO_KEYS
from tests.store.helpers import keys, read

DATA = bytes(range(100))
ETAG = {"ETag": '"e"', "Last-Modified": "Mon, 23 Nov 2026 03:00:00 GMT"}


@contextmanager
def answering(status, headers, body):
    """A store on a server that gives this one answer, whatever is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    options = S3Options("b", endpoint_url=f"http://127.0.0.1:{server.server_port}", max_attempts=1, **MOTO_KEYS)
    store = S3Store(options)
    try:
        yield store
    finally:
        store.close()
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {"Content-Length": "100"}, DATA),  # the range ignored
        (206, {"Content-Length": "10", "Content-Range": "bytes 0-9/100"}, DATA[:10]),  # another range
        (206, {"Content-Length": "5", "Content-Range": "bytes 20-29/100"}, DATA[20:25]),  # less than it says
        (206, {"Content-Length": "80", "Content-Range": "bytes 20-99/100"}, DATA[20:]),  # more than was asked for
        (206, {"Content-Length": "10", "Content-Range": "bytes nonsense"}, DATA[20:30]),
        (206, {"Content-Length": "10"}, DATA[20:30]),
    ],
)
def test_a_wrong_range_is_corrupt(status, headers, body):
    with answering(status, ETAG | headers, body) as store, pytest.raises(Corrupt):
        read(store, "k", start=20, length=10)


def test_bytes_beyond_the_announced_length_are_not_taken():
    headers = ETAG | {"Content-Length": "5", "Content-Range": "bytes 20-24/25"}
    with answering(206, headers, DATA[20:]) as store:
        assert read(store, "k", start=20, length=10) == DATA[20:25]


def test_an_answer_of_unknown_length_is_corrupt():
    with answering(200, ETAG, DATA) as store, pytest.raises(Corrupt, match="None bytes"):
        read(store, "k")


def test_an_answer_that_ends_early_is_never_taken_for_whole():
    with answering(200, ETAG | {"Content-Length": "200"}, DATA) as store, pytest.raises((Corrupt, Unavailable)):
        read(store, "k")


def page(*names):
    facts = "<Size>1</Size><ETag>e</ETag><LastModified>2026-11-23T03:00:00Z</LastModified>"
    entries = "".join(f"<Contents><Key>{name}</Key>{facts}</Contents>" for name in names)
    return f"<ListBucketResult>{entries}</ListBucketResult>".encode()


@pytest.mark.parametrize("names", [("b", "a"), ("a", "a")])
def test_a_list_out_of_order_or_with_repeats_is_an_error(names):
    with answering(200, {}, page(*names)) as store, pytest.raises(StoreError, match="out of order"):
        keys(store)


def test_a_list_cut_in_the_middle_is_an_error():
    with answering(200, {}, page("a", "b")[:-40]) as store, pytest.raises(StoreError):
        keys(store)


@pytest.mark.parametrize("body", [b"", b"<html>proxy</html>", b"\x00\xff"])
def test_an_error_page_of_something_else_is_an_error_of_ours(body):
    with answering(502, {"Content-Length": str(len(body))}, body) as store:
        with pytest.raises(Unavailable):
            read(store, "k")
        with pytest.raises(Unavailable):
            keys(store)

"""A server that speaks gRPC as etcd does and answers what a test wants: kine, later versions, broken streams."""

from contextlib import contextmanager

import grpc

from backstay.tiers.etcd import wire


class Fault(Exception):
    """What the server answers with instead: a gRPC code and words."""

    def __init__(self, code, words):
        super().__init__(words)
        self.code, self.words = code, words


@contextmanager
def fake(unary=None, stream=None, credentials=None):
    """Endpoint (host and port) of a server with ``{"Maintenance/Status": answer}``.

    An answer is bytes, a ``Fault``, or for ``stream`` a function that makes an iterator of bytes.
    """
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(4)
    server = grpc.server(pool, handlers=[_Handlers(unary or {}, stream or {})], options=[("grpc.so_reuseport", 0)])
    port = (
        server.add_secure_port("127.0.0.1:0", credentials) if credentials else server.add_insecure_port("127.0.0.1:0")
    )
    server.start()
    try:
        yield f"{'https' if credentials else 'http'}://127.0.0.1:{port}"
    finally:
        server.stop(0).wait(10)
        pool.shutdown()


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, unary, stream):
        self.unary, self.stream = unary, stream

    def service(self, details):
        method = details.method.removeprefix("/etcdserverpb.")
        if method in self.unary:
            return grpc.unary_unary_rpc_method_handler(lambda _, context: _said(self.unary[method], context))
        if method in self.stream:
            return grpc.unary_stream_rpc_method_handler(lambda _, context: _streamed(self.stream[method], context))
        return None


def _said(answer, context):
    if isinstance(answer, Fault):
        context.abort(answer.code, answer.words)
    return answer


def _streamed(answer, context):
    if isinstance(answer, Fault):
        context.abort(answer.code, answer.words)
    yield from answer()


def part(blob, remaining):
    """A SnapshotResponse."""
    return wire.message((3, blob), *(((2, remaining),) if remaining else ()))


def kine():
    """What kine answers (k3s-io/kine, pkg/server/maintenance.go)."""
    status = wire.message((1, b""), (2, b"3.5.13"), (3, 40960))
    refused = Fault(grpc.StatusCode.UNKNOWN, "snapshot is not supported")
    hash_kv = Fault(grpc.StatusCode.UNKNOWN, "hash kv is not supported")
    return {
        "unary": {"Maintenance/Status": status, "Maintenance/HashKV": hash_kv},
        "stream": {"Maintenance/Snapshot": refused},
    }

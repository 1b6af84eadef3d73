"""A TCP proxy that changes or holds what a server answers, from a place in its answer on."""

import contextlib
import socket
import threading


class TamperingProxy:
    """Forwards connections to ``port`` of 127.0.0.1. A context manager.

    ``flip_at``: the bits of the answer's byte at this place are turned. ``hold_at``: after so many bytes nothing more
    passes, and the connection stays open.
    """

    def __init__(self, port, *, flip_at=None, hold_at=None):
        self.flip_at, self.hold_at = flip_at, hold_at
        self.holding = threading.Event()
        self._upstream = port
        self._stopped = threading.Event()
        self._sockets = []
        self._threads = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self):
        self._run(self._accept)
        return self

    def __exit__(self, kind, error, trace):
        self._stopped.set()
        for each in [self._listening, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(10)

    def _run(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self._listening.accept()[0]
                upstream = socket.create_connection(("127.0.0.1", self._upstream), 10)
                self._sockets += [client, upstream]
                self._run(self._pump, client, upstream, None)
                self._run(self._pump, upstream, client, self._answer)

    def _pump(self, source, sink, change):
        place = 0
        with contextlib.suppress(OSError):
            while block := source.recv(65_536):
                sink.sendall(change(block, place) if change else block)
                place += len(block)
            sink.shutdown(socket.SHUT_WR)

    def _answer(self, block, place):
        if self.flip_at is not None and place <= self.flip_at < place + len(block):
            at = self.flip_at - place
            return block[:at] + bytes([block[at] ^ 0xFF]) + block[at + 1 :]
        if self.hold_at is not None and place + len(block) > self.hold_at:
            self.holding.set()
            self._stopped.wait(60)
        return block

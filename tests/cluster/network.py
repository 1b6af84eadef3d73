"""The network of a node, in a network namespace of its own: a bridge for the pods, and one way in from outside."""

import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

BRIDGE = "br0"
NODE = "10.42.0.1"
PODS = "10.42.0.0/24"
FIRST_POD = "10.42.0.10"
SERVICES = "10.43.0.0/16"
FIRST_SERVICE = "10.43.0.1"
BUFFER = 1 << 16


def make_bridge() -> None:
    """What pods are connected to, with the node's own address on it; the namespace is new and has nothing yet."""
    for words in (
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"addr add {NODE}/24 dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ):
        subprocess.run(["ip", *words.split()], check=True, timeout=30)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def forward(listening: socket.socket, port: int) -> None:
    """Take connections of ``listening`` to a port of this namespace's 127.0.0.1, for as long as this process lives.

    A socket belongs to the namespace it was made in: one of the machine's own, handed down, is the way in.
    """
    threading.Thread(target=_accept, args=(listening, port), daemon=True).start()


def _accept(listening: socket.socket, port: int) -> None:
    while True:
        outside, _ = listening.accept()
        try:
            inside = socket.create_connection(("127.0.0.1", port), timeout=10)
        except OSError:
            outside.close()
            continue
        inside.settimeout(None)
        for source, target in ((outside, inside), (inside, outside)):
            threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Until one side ends; the other is told by a half-closed connection."""
    with suppress(OSError):
        while data := source.recv(BUFFER):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)

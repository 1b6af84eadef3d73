"""Commands in a container, against a WebSocket server that speaks as the API server does."""

import json

import pytest
import wsproto
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Request

from backstay.core.errors import ClusterError, ObjectInvalid, ObjectNotFound
from tests.cluster.fake_api import FakeApi, refusal

PATH = "/api/v1/namespaces/x/pods/p/exec"
OK = {"kind": "Status", "status": "Success"}


@pytest.fixture
def api():
    with FakeApi() as api:
        yield api


def ended(code):
    causes = [{"reason": "ExitCode", "message": str(code)}]
    return {"kind": "Status", "status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}


class Talk:
    """The server's side of one connection."""

    def __init__(self, handler, protocol="v5.channel.k8s.io"):
        self.socket = handler.connection
        self.ws = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        head = "".join(f"{name}: {value}\r\n" for name, value in handler.headers.items())
        self.ws.receive_data(f"{handler.requestline}\r\n{head}\r\n".encode())
        [request] = list(self.ws.events())
        assert isinstance(request, Request)
        assert request.subprotocols == ["v5.channel.k8s.io", "v4.channel.k8s.io"]
        self.socket.sendall(self.ws.send(AcceptConnection(subprotocol=protocol)))

    def say(self, channel, data):
        self.socket.sendall(self.ws.send(BytesMessage(bytes([channel]) + data)))

    def end(self, status):
        self.say(3, json.dumps(status).encode())
        self.socket.sendall(self.ws.send(CloseConnection(1000)))

    def heard(self):
        partial = b""
        while data := self.socket.recv(1 << 16):
            self.ws.receive_data(data)
            for event in self.ws.events():
                if isinstance(event, BytesMessage):
                    partial += bytes(event.data)
                    if event.message_finished:
                        yield partial
                        partial = b""


def served(talk, protocol="v5.channel.k8s.io"):
    """A path that is a WebSocket."""
    return lambda _request: lambda handler: talk(Talk(handler, protocol))


def test_output_and_exit_code(api):
    def talk(server):
        server.say(1, b"out")
        server.say(2, b"err")
        server.say(1, b"put")
        server.end(ended(3))

    api.on(PATH, served(talk))
    with api.client() as client:
        done = client.execute("x", "p", ["sh", "-c", "a b"], container="c", timeout=10)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"output", b"err")
    expected = [
        ("command", "sh"),
        ("command", "-c"),
        ("command", "a b"),
        ("stdout", "true"),
        ("stderr", "true"),
        ("container", "c"),
    ]
    assert api.asked[0].params == expected


def test_input_goes_in_while_output_comes_out(api):
    stdin = bytes(range(256)) * (80 << 10)  # 20 MiB: more than all buffers on the way hold

    def talk(server):
        for message in server.heard():
            if message == b"\xff\x00":
                break
            server.say(1, message[1:])
        server.end(OK)

    api.on(PATH, served(talk))
    with api.client() as client:
        done = client.execute("x", "p", ["cat"], stdin=stdin, timeout=60)
    assert (done.returncode, done.stdout) == (0, stdin[-(64 << 10) :])


def test_a_command_that_does_not_end(api):
    api.on(PATH, served(lambda server: list(server.heard())))
    with api.client() as client, pytest.raises(ClusterError, match="did not end within 0.3 s"):
        client.execute("x", "p", ["sleep"], timeout=0.3)


def test_a_command_that_cannot_start(api):
    status = {"kind": "Status", "status": "Failure", "reason": "InternalError", "message": "no such file: nope"}
    api.on(PATH, served(lambda server: server.end(status)))
    with api.client() as client, pytest.raises(ClusterError, match="no such file: nope"):
        client.execute("x", "p", ["nope"], timeout=10)


def test_a_connection_that_breaks(api):
    api.on(PATH, served(lambda server: server.say(1, b"x")))
    with api.client() as client, pytest.raises(ClusterError, match="broke"):
        client.execute("x", "p", ["a"], timeout=10)


def test_input_needs_the_newer_protocol(api):
    api.on(PATH, served(lambda server: list(server.heard()), "v4.channel.k8s.io"))
    with api.client() as client, pytest.raises(ClusterError, match="where the command's input ends"):
        client.execute("x", "p", ["cat"], stdin=b"a", timeout=10)


def test_refused_before_it_began(api):
    with api.client() as client:
        api.on(PATH, refusal(404, "NotFound", 'pods "p" not found'))
        with pytest.raises(ObjectNotFound, match='pods "p" not found'):
            client.execute("x", "p", ["a"], timeout=10)
        api.on(PATH, refusal(400, "BadRequest", "pod p does not have a host assigned"))
        with pytest.raises(ObjectInvalid, match="does not have a host"):
            client.execute("x", "p", ["a"], timeout=10)

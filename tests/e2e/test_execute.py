"""Commands in containers, through a real API server and kubelet."""

import pytest

from backstay.cluster.client import Access, connect
from backstay.core.errors import ClusterError, ObjectNotFound
from tests.cluster.pods import is_ready, pod


@pytest.fixture
def client(node):
    with connect(Access(kubeconfig=node.kubeconfig)) as client:
        yield client


@pytest.fixture
def sleeper(node, node_namespace):
    node.api.post(f"/api/v1/namespaces/{node_namespace}/pods", pod("sleeper", "sleep 3600"))
    node.api.wait(f"/api/v1/namespaces/{node_namespace}/pods/sleeper", is_ready)
    return node_namespace, "sleeper"


def test_how_a_command_ends_and_what_it_says(client, sleeper):
    ended = client.execute(*sleeper, ["sh", "-c", "echo out; echo err >&2; exit 7"], timeout=30)
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, b"out\n", b"err\n")
    assert client.execute(*sleeper, ["true"], timeout=30).returncode == 0


def test_more_goes_in_than_any_buffer_holds_and_comes_out_meanwhile(client, sleeper):
    given = b"0123456789abcdef" * (1 << 18)  # 4 MiB
    ended = client.execute(*sleeper, ["cat"], stdin=given, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, given[-(64 << 10) :])
    counted = client.execute(*sleeper, ["wc", "-c"], stdin=given, timeout=60)
    assert counted.stdout.strip() == str(len(given)).encode()


def test_a_command_that_does_not_read_its_input(client, sleeper):
    """As long as that is not more than the buffers on the way hold: with 4 MiB its end is not always told."""
    ended = client.execute(*sleeper, ["sh", "-c", "exit 3"], stdin=b"x" * 1024, timeout=30)
    assert ended.returncode == 3


def test_a_command_that_takes_too_long(client, sleeper):
    with pytest.raises(ClusterError, match="did not end within 2 s"):
        client.execute(*sleeper, ["sleep", "60"], timeout=2)


def test_what_is_not_there(client, sleeper):
    namespace, name = sleeper
    with pytest.raises(ObjectNotFound, match="absent"):
        client.execute(namespace, "absent", ["true"], timeout=30)
    with pytest.raises(ClusterError, match="container"):
        client.execute(namespace, name, ["true"], container="absent", timeout=30)
    with pytest.raises(ClusterError, match="nothing-of-the-kind"):
        client.execute(namespace, name, ["nothing-of-the-kind"], timeout=30)

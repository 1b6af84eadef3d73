"""Connections that do not come about, or break: each is told for what it is, and by whose fault."""

import datetime as dt
import os
import socket
import subprocess
import sys
import threading

import grpc
import pytest
from cryptography.hazmat.primitives import serialization

from backstay.cluster.localetcd.server import EtcdServer, ServerTls
from backstay.core.errors import SourceError, UsageError
from backstay.tiers.etcd.api import probe
from backstay.tiers.etcd.api.certificates import client_fault
from backstay.tiers.etcd.api.channel import address, is_loopback
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.api.trouble import Reason
from backstay.tiers.etcd.controlplane import TlsFiles
from tests.fixtures.etcd import client_of, program
from tests.tiers.etcd.api.fake import fake


def refusal(endpoint, tls, seconds=5.0):
    """The error of a question that fails."""
    with EtcdClient(endpoint, tls) as client, pytest.raises(SourceError) as caught:
        client.status(seconds=seconds)
    return caught.value


def test_the_right_certificates_do(guarded, papers):
    with client_of(guarded, papers.client) as client:
        assert client.status().is_leader
    with EtcdClient(guarded.endpoint.replace("127.0.0.1", "localhost"), papers.client) as client:
        assert client.status().is_leader


def test_a_server_of_an_unknown_ca_is_not_talked_to(guarded, papers, strangers):
    error = refusal(guarded.endpoint, TlsFiles(strangers.ca, papers.client.cert, papers.client.key))
    assert error.context["reason"] == Reason.TLS
    assert f"the CA in {strangers.ca} did not sign" in error.message
    assert guarded.endpoint in error.message


def test_a_client_certificate_of_another_ca_is_refused(guarded, papers, strangers):
    error = refusal(guarded.endpoint, TlsFiles(papers.ca, strangers.client.cert, strangers.client.key))
    assert error.context["reason"] == Reason.CLIENT
    assert f"{strangers.client.cert} is not signed by the CA in {papers.ca}" in error.message


def test_an_expired_client_certificate_is_told_with_its_date(guarded, papers):
    error = refusal(guarded.endpoint, papers.issue("expired", days=-3))
    day = dt.datetime.now(dt.UTC) - dt.timedelta(days=3)
    assert error.context["reason"] == Reason.CLIENT
    assert f"expired.crt expired on {day:%Y-%m-%d}" in error.message
    assert "restart" in error.hint


def test_no_client_certificate_is_told(guarded, papers):
    error = refusal(guarded.endpoint, TlsFiles(papers.ca))
    assert error.context["reason"] == Reason.CLIENT
    assert "none is configured" in error.message


@pytest.mark.parametrize("who", ["stranger", "none"])
def test_tls_13_refuses_after_the_handshake_and_is_told_the_same(papers, strangers, who):
    server = papers.server
    credentials = grpc.ssl_server_credentials(
        [(server.key.read_bytes(), server.cert.read_bytes())], papers.ca.read_bytes(), require_client_auth=True
    )
    other = TlsFiles(papers.ca, strangers.client.cert, strangers.client.key)
    with fake(credentials=credentials) as endpoint:
        error = refusal(endpoint, other if who == "stranger" else TlsFiles(papers.ca))
    assert error.context["reason"] == Reason.CLIENT
    assert ("not signed by" if who == "stranger" else "none is configured") in error.message


@pytest.mark.parametrize(
    ("name", "days", "hosts", "words"),
    [
        ("elsewhere", 1, ["example.org", "10.0.0.1"], "not for 127.0.0.1: it is for example.org, 10.0.0.1"),
        ("nameless", 1, [], "not for 127.0.0.1: it is for no name at all"),
        ("late", -1, ["127.0.0.1"], "not valid now: expired on "),
    ],
)
def test_a_server_with_a_wrong_certificate_is_not_talked_to(tmp_path, papers, name, days, hosts, words):
    made = papers.issue(name, days=days, hosts=hosts, server=True)
    with EtcdServer(
        tmp_path, program=program("etcd"), tls=ServerTls(made.ca, made.cert, made.key), fsync=False
    ) as server:
        error = refusal(server.endpoint, papers.client)
    assert error.context["reason"] == Reason.TLS
    assert words in error.message


def test_without_tls_to_a_server_with_tls(guarded):
    error = refusal(guarded.endpoint.replace("https", "http"), None)
    assert error.context["reason"] == Reason.TLS
    assert "wants TLS" in error.message
    assert "https://" in error.hint


def test_with_tls_to_a_server_without(plain, papers):
    error = refusal(plain.endpoint.replace("http", "https"), papers.client)
    assert error.context["reason"] == Reason.TLS
    assert "does not speak TLS" in error.message


def test_nobody_there(papers):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for endpoint, tls in ((f"http://127.0.0.1:{port}", None), (f"https://127.0.0.1:{port}", papers.client)):
        error = refusal(endpoint, tls)
        assert error.context["reason"] == Reason.UNREACHABLE
        assert f"{endpoint} cannot be reached: connection refused" in error.message


def test_a_name_that_is_none(papers):
    error = refusal("https://no-such-host.invalid:2379", papers.client)
    assert error.context["reason"] in {Reason.UNREACHABLE, Reason.LATE}
    assert "no-such-host.invalid" in error.message


def test_one_that_accepts_and_is_silent():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refusal(f"http://127.0.0.1:{silent.getsockname()[1]}", None, seconds=0.5)
    assert error.context["reason"] == Reason.LATE
    assert "did not answer Maintenance/Status within" in error.message


def test_a_probe_of_a_silent_one_ends(monkeypatch, papers):
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = probe.diagnose("127.0.0.1", silent.getsockname()[1], papers.client, dt.datetime.now(dt.UTC))
    assert (found.kind, found.message) == ("unreachable", "cannot be reached: did not answer in time")


@pytest.mark.parametrize(
    ("days", "words"),
    [(0, ""), (-1, "client.crt is valid only from "), (29, ""), (31, "client.crt expired on ")],
)
def test_what_is_wrong_with_a_client_certificate_at_a_time(papers, days, words):
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    found = client_fault(papers.client, now)
    assert (words in found) if words else found == ""


def test_a_sound_connection_has_no_diagnosis(guarded, plain, papers):
    now = dt.datetime.now(dt.UTC)
    for server, tls in ((guarded, papers.client), (plain, None)):
        assert probe.diagnose("127.0.0.1", int(server.endpoint.rpartition(":")[2]), tls, now) is None


def test_an_endpoint_without_tls_elsewhere_is_refused_before_it_is_asked():
    for endpoint in ("http://10.0.0.1:2379", "http://etcd.example.org:2379", "http://127.0.0.1.example.org:2379"):
        with pytest.raises(UsageError, match="has no TLS") as caught:
            EtcdClient(endpoint)
        assert "Secret" in caught.value.hint
    with pytest.raises(UsageError, match="no certificates are configured"):
        EtcdClient("https://127.0.0.1:2379")


@pytest.mark.parametrize(
    "endpoint",
    [
        "127.0.0.1:2379",
        "unix:///run/etcd.sock",
        "https://",
        "https://a:b",
        "https://a:99999",
        "https://u:p@a:1",
        "https://a/x",
    ],
)
def test_what_is_no_endpoint(endpoint):
    with pytest.raises(UsageError, match="is not an endpoint of etcd"):
        address(endpoint)


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://10.0.0.1:2379", ("https", "10.0.0.1", 2379)),
        ("https://etcd.example.org", ("https", "etcd.example.org", 2379)),
        ("http://[::1]:1/", ("http", "::1", 1)),
    ],
)
def test_the_parts_of_an_endpoint(endpoint, expected):
    assert address(endpoint) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("LOCALHOST", True),
        ("10.0.0.1", False),
        ("etcd", False),
    ],
)
def test_this_machine(host, expected):
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "ca.crt").unlink(), "ca.crt is missing"),
        (lambda folder: (folder / "client.key").unlink(), "client.key is missing"),
        (lambda folder: (folder / "ca.crt").write_bytes(b"nonsense"), "no certificate .PEM. in .*ca.crt"),
        (lambda folder: (folder / "client.crt").write_bytes(b""), "no certificate .PEM. in .*client.crt"),
        (lambda folder: (folder / "client.key").write_bytes(b"nonsense"), "no private key .*client.key"),
        (
            lambda folder: (folder / "client.key").write_bytes((folder / "server.key").read_bytes()),
            "client.key is not that of the certificate in .*client.crt",
        ),
        (lambda folder: ((folder / "ca.crt").unlink(), (folder / "ca.crt").mkdir()), "ca.crt cannot be read"),
    ],
)
def test_certificate_files_that_are_none(tmp_path, damage, words):
    from tests.fixtures.etcd import certificates

    made = certificates(tmp_path)
    damage(tmp_path)
    with pytest.raises(SourceError, match=words) as caught:
        EtcdClient("https://127.0.0.1:1", made.client)
    assert "Nothing was asked" in caught.value.hint


def test_a_key_with_a_passphrase_is_refused_without_a_word_of_it(tmp_path, papers):
    key = serialization.load_pem_private_key(papers.client.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"tell-nobody"),
        )
    )
    with pytest.raises(SourceError, match="no passphrase"):
        EtcdClient("https://127.0.0.1:1", TlsFiles(papers.ca, papers.client.cert, locked))


def test_half_a_pair_is_refused(papers):
    with pytest.raises(SourceError, match="belong together"):
        EtcdClient("https://127.0.0.1:1", TlsFiles(papers.ca, cert=papers.client.cert))


def test_renewed_certificates_are_read_at_the_next_connection(tmp_path, guarded, papers):
    mine = TlsFiles(papers.ca, tmp_path / "client.crt", tmp_path / "client.key")
    expired = papers.issue("expired-first", days=-1)
    for source, works in ((expired, False), (papers.client, True)):
        mine.cert.write_bytes(source.cert.read_bytes())
        mine.key.write_bytes(source.key.read_bytes())
        if works:
            with client_of(guarded, mine) as client:
                assert client.status().version
        else:
            assert "expired" in refusal(guarded.endpoint, mine).message


def test_a_proxy_of_the_environment_is_not_used(plain, monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with client_of(plain) as client:
        assert client.status().version


def test_a_member_that_is_killed_meanwhile_is_told(tmp_path):
    from tests.fixtures.etcd import single

    with single(tmp_path) as server, client_of(server) as client:
        assert client.status().version
        server.kill()
        with pytest.raises(SourceError, match="cannot be reached") as caught:
            client.status()
        assert caught.value.context["reason"] == Reason.UNREACHABLE
        server.start()
        with client_of(server) as again:
            assert again.status().version


def test_many_threads_ask_one_client(client):
    found = []
    threads = [threading.Thread(target=lambda: found.append(client.status().member_id)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [client.status().member_id] * 16


def test_a_new_client_does_not_wait_for_the_failures_of_another(tmp_path):
    """grpc shares connections, and their pauses after a failure, among channels unless told not to."""
    with EtcdServer(tmp_path, program=program("etcd"), fsync=False) as server:
        server.kill()
        with client_of(server) as failed:
            for _ in range(3):
                with pytest.raises(SourceError):
                    failed.status()
            server.start()
            with client_of(server) as client:
                assert client.status().version


def test_the_tier_does_not_import_grpc_and_failures_print_nothing(guarded, papers, strangers):
    script = f"""
import sys
import backstay.tiers.etcd.controlplane, backstay.tiers.etcd.api.members, backstay.tiers.etcd.api.spool
assert "grpc" not in sys.modules
from pathlib import Path
from backstay.tiers.etcd.controlplane import TlsFiles
from backstay.core.errors import SourceError
for ca in {str(papers.ca)!r}, {str(strangers.ca)!r}:
    try:
        with backstay.tiers.etcd.api.client.EtcdClient({guarded.endpoint!r}, TlsFiles(Path(ca))) as client:
            client.status()
    except SourceError as error:
        print(error.context["reason"])
"""
    command, env = [sys.executable, "-c", script], {"PATH": os.defpath}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    assert (done.stdout, done.stderr, done.returncode) == ("client\ntls\n", "", 0)

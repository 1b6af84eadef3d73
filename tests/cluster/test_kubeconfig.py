"""Where the API server is found and as whom, and how broken files are told."""

import base64
import ssl
import stat
import sys

import httpx2
import pytest
import yaml

from backstay.cluster import credentials
from backstay.cluster.kubeconfig import Access, Cluster, Configuration, Exec, User, find
from backstay.core.errors import ClusterDenied, ClusterUnreachable, ConfigError
from tests.cluster.fake_api import Answer, FakeApi, refusal
from tests.fixtures.etcd import certificates


def config(name="a", server="https://10.0.0.1:6443", user=None, **cluster):
    return {
        "clusters": [{"name": name, "cluster": {"server": server, **cluster}}],
        "users": [{"name": name, "user": user or {"token": "hush"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def found(tmp_path, *, env=None, **access):
    return find(
        Access(env=env or {}, **access), home=tmp_path / "home", account=tmp_path / "account", k3s=tmp_path / "k3s.yaml"
    )


def test_the_order(tmp_path):
    with pytest.raises(ConfigError, match="no configuration for a Kubernetes cluster"):
        found(tmp_path)
    write(tmp_path / "k3s.yaml", config(server="https://k3s:6443"))
    assert found(tmp_path).host == "k3s"
    write(tmp_path / "home/.kube/config", config(server="https://home:6443"))
    assert found(tmp_path).host == "home"
    for name in ("token", "ca.crt"):
        write(tmp_path / "account" / name, "x")
    pod = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    assert found(tmp_path, env=pod).cluster.server == "https://[fd00::1]:443"
    assert found(tmp_path, env=pod).user.token_file == str(tmp_path / "account/token")
    assert found(tmp_path, env=pod, in_cluster=False).host == "home"
    named = write(tmp_path / "named", config(server="https://named:6443"))
    assert found(tmp_path, env={**pod, "KUBECONFIG": str(named)}).host == "named"
    assert found(tmp_path, env={**pod, "KUBECONFIG": str(named)}, in_cluster=True).host == "fd00::1"
    given = write(tmp_path / "given", config(server="https://given:6443"))
    assert found(tmp_path, env={**pod, "KUBECONFIG": str(named)}, kubeconfig=given).host == "given"


def test_files_are_merged_and_the_first_wins(tmp_path):
    one = write(tmp_path / "one/config", {**config("a"), "current-context": ""})
    two = config("a", server="https://other:1", **{"certificate-authority": "ca.crt"})
    more = config("b", server="https://b:1", user={"tokenFile": "t"}, **{"certificate-authority": "ca.crt"})
    both = {key: two[key] + more[key] for key in ("clusters", "users", "contexts")} | {"current-context": "b"}
    env = {"KUBECONFIG": f"{one}:{tmp_path}/none:{write(tmp_path / 'two/config', both)}"}
    chosen = found(tmp_path, env=env)
    assert chosen.cluster.certificate_auth == str(tmp_path / "two/ca.crt")
    assert chosen.user.token_file == str(tmp_path / "two/t")
    assert found(tmp_path, env=env, context="a").host == "10.0.0.1"
    assert "hush" not in repr(found(tmp_path, env=env, context="a"))


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        ("a: [hush\nb: }", "is not YAML in line 2", ""),
        ("", "is empty", ""),
        ({"clusters": "x"}, "clusters must be a list", ""),
        ({**config(), "current-context": "z"}, "has no context 'z'", "It has: a."),
        ({**config(), "users": None}, "has no user 'a'", "no users at all"),
        ({**config(), "clusters": []}, "has no cluster 'a'", ""),
        (config(server="10.0.0.1"), "not an http or https address", ""),
        (config(server="http://10.0.0.1:80"), "unencrypted", ""),
        (config(user={"token": 1}), "the user 'a' of .* is not valid", ""),
        (config(user={"auth-provider": {"name": "gcp"}}), "auth-provider is not supported", "exec plugin"),
        (config(user={"client-certificate": "a"}), "only one of client certificate and client key", ""),
        (config(**{"insecure-skip-tls-verify": True, "certificate-authority": "x"}), "insecure", ""),
    ],
)
def test_broken_files(tmp_path, content, message, hint):
    with pytest.raises(ConfigError, match=message) as caught:
        found(tmp_path, kubeconfig=write(tmp_path / "broken", content))
    assert hint in caught.value.hint
    assert "hush" not in caught.value.message.replace(str(tmp_path), "")


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(ConfigError, match="there is no kubeconfig"):
        found(tmp_path, kubeconfig=tmp_path / "none")
    with pytest.raises(ConfigError, match="KUBECONFIG names no file"):
        found(tmp_path, env={"KUBECONFIG": str(tmp_path / "none")})
    with pytest.raises(ConfigError, match="no pod with a service account"):
        found(tmp_path, in_cluster=True)


def settings(user=None, **cluster):
    return Configuration("test.yaml", Cluster(**cluster), user or User(), env={"PATH": "/usr/bin:/bin"})


def test_certificates_that_cannot_be_used(tmp_path):
    made = certificates(tmp_path)
    old, good, other = made.issue("old", days=-1), made.issue("good"), made.issue("other")
    with pytest.raises(ClusterDenied, match="the client certificate expired on 20"):
        credentials.tls(settings(User(client_cert=str(old.cert), client_key=str(old.key))))
    with pytest.raises(ConfigError, match="do not belong together"):
        credentials.tls(settings(User(client_cert=str(good.cert), client_key=str(other.key))))
    with pytest.raises(ConfigError, match="client-key .* cannot be read"):
        credentials.tls(settings(User(client_cert=str(good.cert), client_key=str(tmp_path / "none"))))
    with pytest.raises(ConfigError, match="holds no certificate"):
        credentials.tls(settings(certificate_auth_data=base64.b64encode(b"hello").decode()))
    data = {"client_cert_data": good.cert, "client_key_data": good.key}
    encoded = {name: base64.b64encode(path.read_bytes()).decode() for name, path in data.items()}
    assert credentials.tls(settings(User(**encoded), certificate_auth=str(made.ca))).verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("days", "hosts", "known", "message"),
    [
        (30, ["127.0.0.1"], True, ""),
        (-1, ["127.0.0.1"], True, "has expired"),
        (30, ["example.com"], True, "for other names"),
        (30, ["127.0.0.1"], False, "not signed by"),
    ],
)
def test_server_certificates(tmp_path, days, hosts, known, message):
    (tmp_path / "other").mkdir()
    made, other = certificates(tmp_path), certificates(tmp_path / "other")
    issued = made.issue("api", days=days, hosts=hosts, server=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(issued.cert, issued.key)
    trusted = str(made.ca if known else other.ca)
    with FakeApi(tls) as api:
        api.on("/version", {"gitVersion": "v1"})
        with api.client(cluster=Cluster(server=api.url, certificate_auth=trusted)) as client:
            if not message:
                assert client.version() == "v1"
                return
            with pytest.raises(ClusterUnreachable, match=message):
                client.version()
    assert api.slept == []  # it will not be better soon
    named = Cluster(server=api.url, certificate_auth=trusted, tls_server_name="example.com")
    assert named.tls_server_name == "example.com"


def test_a_server_by_another_name(tmp_path):
    made = certificates(tmp_path)
    issued = made.issue("api", hosts=["kubernetes.default"], server=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(issued.cert, issued.key)
    with FakeApi(tls) as api:
        api.on("/version", {"gitVersion": "v1"})
        cluster = Cluster(server=api.url, certificate_auth=str(made.ca), tls_server_name="kubernetes.default")
        with api.client(cluster=cluster) as client:
            assert client.version() == "v1"
        with api.client(cluster=Cluster(server=api.url, insecure=True)) as client:
            assert client.version() == "v1"


PLUGIN = """#!{python}
import json, os, pathlib, sys
count = pathlib.Path(__file__).with_suffix(".count")
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert info["spec"]["interactive"] is False and info["spec"]["cluster"]["server"].startswith("http"), info
assert os.environ["EXTRA"] == "1" and sys.argv[1:] == ["get", "token"]
{body}
print(json.dumps({{"apiVersion": info["apiVersion"], "kind": "ExecCredential", "status": status}}))
"""


def plugin(tmp_path, body, api_version="client.authentication.k8s.io/v1", **more):
    program = tmp_path / "plugin.py"
    program.write_text(PLUGIN.format(python=sys.executable, body=body))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    given = {"apiVersion": api_version, "command": str(program), "args": ["get", "token"], "provideClusterInfo": True}
    extra = [{"name": "EXTRA", "value": "1"}]
    return write(
        tmp_path / "config", config(server="http://127.0.0.1:1", user={"exec": {**given, "env": extra, **more}})
    )


def user_of(tmp_path, *args, **more):
    return found(tmp_path, kubeconfig=plugin(tmp_path, *args, **more)).user


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_token_of_a_program_is_kept_until_it_is_refused(tmp_path, version):
    user = user_of(tmp_path, "status = {'token': f't{number}'}", f"client.authentication.k8s.io/{version}")
    with FakeApi() as api:
        api.on("/version", {}, {}, refusal(401, "Unauthorized"), {"gitVersion": "v1"})
        with api.client(user) as client:
            client.version()
            client.version()
            assert client.version() == "v1"
    assert [each.headers["Authorization"] for each in api.asked] == [f"Bearer t{n}" for n in (1, 1, 1, 2)]


def test_a_token_that_expires_is_renewed_before(tmp_path):
    user = user_of(tmp_path, "status = {'token': f't{number}', 'expirationTimestamp': '2020-01-01T00:00:00Z'}")
    with FakeApi() as api:
        api.on("/version", {})
        with api.client(user) as client:
            client.version()
            client.version()
    assert [each.headers["Authorization"] for each in api.asked] == ["Bearer t1", "Bearer t2"]


@pytest.mark.parametrize(
    ("body", "expected", "message"),
    [
        ("sys.exit('error: please log in')", ClusterDenied, "please log in"),
        ("print('hush'); sys.exit(0)", ClusterDenied, "did not answer with an ExecCredential"),
        ("status = {}", ClusterDenied, "neither a token nor a certificate"),
        ("status = {'token': 'hush', 'expirationTimestamp': 'soon'}", ClusterDenied, "no valid expirationTimestamp"),
        ("status = {'clientCertificateData': 'hush', 'clientKeyData': 'hush'}", ConfigError, "cannot be read"),
    ],
)
def test_programs_that_fail(tmp_path, body, expected, message):
    user = user_of(tmp_path, body)
    with FakeApi() as api, api.client(user) as client, pytest.raises(expected, match=message) as caught:
        client.version()
    assert "hush" not in str(caught.value.as_json())


def test_a_program_that_is_not_there(tmp_path):
    user = user_of(tmp_path, "", command="no-such-program", installHint="Install it from the app store.")
    with FakeApi() as api, api.client(user) as client, pytest.raises(ConfigError, match="cannot be run") as caught:
        client.version()
    assert caught.value.hint == "Install it from the app store."


def test_programs_that_cannot_be_used(tmp_path):
    for change, message in (
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "v1alpha1"),
        ({"interactiveMode": "Always"}, "wants a terminal"),
    ):
        with FakeApi() as api, pytest.raises(ConfigError, match=message):
            api.client(user_of(tmp_path, "", **change))


def test_a_certificate_of_a_program_is_shown(tmp_path):
    made = certificates(tmp_path)
    server, client_pair = made.issue("api", hosts=["127.0.0.1"], server=True), made.issue("carol")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(server.cert, server.key)
    tls.load_verify_locations(made.ca)
    tls.verify_mode = ssl.CERT_REQUIRED
    files = {"clientCertificateData": str(client_pair.cert), "clientKeyData": str(client_pair.key)}
    body = f"status = {{name: open(path).read() for name, path in {files!r}.items()}}"
    with FakeApi(tls) as api:
        api.on("/version", {"gitVersion": "v1"})
        cluster = Cluster(server=api.url, certificate_auth=str(made.ca))
        with api.client(user_of(tmp_path, body), cluster) as client:
            assert client.version() == "v1"
        with api.client(cluster=cluster) as client, pytest.raises(ClusterUnreachable):
            client.version()


def test_reprs_hold_no_secrets():
    plugin_of = Exec("v1", "run", env=[], args=["--password=hush"])
    for each in (plugin_of, User(token="hush", exec=plugin_of), settings(User(token="hush"))):
        assert "hush" not in repr(each)
    assert isinstance(
        credentials.auth(settings(User(username="a", password="hush")), ssl.create_default_context()), httpx2.BasicAuth
    )
    assert Answer().status == 200

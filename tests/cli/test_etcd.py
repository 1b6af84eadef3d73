"""``backstay etcd get``: objects out of a real snapshot, with no cluster and no etcd at hand any more."""

import errno
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pyrage
import pytest
import yaml

from backstay.cli.commands.etcd import get
from backstay.core.model import TierKind
from backstay.demo import controlplane
from backstay.tiers.etcd.kube.decode import decode
from tests.fixtures.etcd import client_of, configmap, program, single
from tests.fixtures.stocked import Stocked

IDENTITY = pyrage.x25519.Identity.generate()
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wg"]},
    },
}
ODD = {  # what YAML, its readers and terminals make something else of
    "right to left": "שלום\u200f \u202eabc",
    "terminal": "\x1b[2J\x07\x9b",
    "lines": "one\n\ttwo \r\n three\u2028four\n",
    "number": "1e3",
    "yes": "y",
    "\u200ekey": "é日本😀",
}
APPS = [app for apps in controlplane.APPS.values() for app in apps]
SEALED = b"k8s:enc:aescbc:v1:key1:" + bytes(range(64))
EVIL = "evil\x1b]0;title\x07\u202e"


def config_map(name, data, namespace="shop"):
    metadata = {"name": name, "namespace": namespace, "uid": "040d869a-243c-4dbb-8386-a067e844978a"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def encoded(found):
    return json.dumps(found).encode()


@dataclass(frozen=True)
class Taken:
    """Two backups of one cluster, the second encrypted, and the snapshot of the first as k3s would leave it."""

    folder: Path
    ids: tuple[str, str]
    before: int  # a revision at which configmaps/changing was another

    @property
    def store(self):
        return self.folder / "store"

    @property
    def archives(self):
        return sorted((self.store / "etcd-snapshots").iterdir())

    @property
    def raw(self):
        return self.folder / "etcd-snapshot-server-1-1766000000"

    @property
    def zipped(self):
        return self.raw.with_name(f"{self.raw.name}.zip")


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("taken")
    (folder / "store").mkdir()
    with single(folder / "etcd") as server, client_of(server) as client:
        controlplane.fill(client)
        client.put(b"/registry/apiextensions.k8s.io/customresourcedefinitions/widgets.example.com", encoded(DEFINITION))
        widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "one", "namespace": "shop"}}
        client.put(b"/registry/example.com/widgets/shop/one", encoded(widget))
        client.put(b"/registry/secrets/shop/sealed", SEALED)
        client.put(b"/registry/configmaps/shop/broken", b"\x00\x01 no object")
        client.put(b"/registry/configmaps/shop/odd", encoded(config_map("odd", ODD)))
        client.put(f"/registry/configmaps/shop/{EVIL}".encode(), encoded(config_map(EVIL, {"a": EVIL})))
        client.put(*configmap(7, 1000))
        before = client.put(b"/registry/configmaps/shop/changing", encoded(config_map("changing", {"a": "old"})))
        client.put(b"/registry/configmaps/shop/changing", encoded(config_map("changing", {"a": "new"})))
        client.put(b"/elsewhere/key", b"of another program")
        ids = [backed_up(folder, server, f"[{IDENTITY.to_public()}]" if number else "[]") for number in range(2)]
    made = Taken(folder, (ids[0], ids[1]), before)
    with zipfile.ZipFile(made.archives[0]) as archive:
        made.raw.write_bytes(archive.read(archive.namelist()[0]))
    with zipfile.ZipFile(made.zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(made.raw, made.raw.name)
    return made


def backed_up(folder, server, recipients):
    """The id of a backup taken by a process of its own."""
    config = folder / f"{len(recipients)}.yaml"
    config.write_text(
        f"cluster: home\nstores: {{main: {{url: 'file://{folder}/store'}}}}\nencryption: {{recipients: {recipients}}}\n"
        f"etcd: {{flavor: etcd, node: server-1, endpoints: ['{server.endpoint}'], bin: {program('etcdutl').parent}}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "backstay", "--config", config, "backup", "etcd", "--json", "--no-progress"],
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "XDG_STATE_HOME": str(folder / "state")},
        stdout=subprocess.PIPE, text=True, timeout=60, check=True,
    )  # fmt: skip
    [result] = [line for line in map(json.loads, done.stdout.splitlines()) if line["message_type"] == "result"]
    return result["id"]


CONFIG = """
cluster: home
stores: {{main: {{url: "file://{store}"}}}}
etcd: {{flavor: etcd, node: server-1, endpoints: ["https://127.0.0.1:1"], spool: "{spool}"}}
"""


@pytest.fixture
def made(cli, taken):
    """Commands see the store of ``taken``; nothing answers where etcd was."""
    cli.configure(CONFIG.format(store=taken.store, spool=cli.folder / "spool"))
    yield taken
    assert list((cli.folder / "spool").glob("*")) == []


@pytest.fixture
def asked(cli, made):
    """Call it with the words behind ``etcd get``, of the backup that is not encrypted."""
    return lambda *words, **more: cli.run("etcd", "get", *words, "--from", made.ids[0], **more)


def key_file(cli, identity=IDENTITY):
    path = cli.folder / "key.txt"
    path.touch(mode=0o600)
    path.write_text(str(identity))
    return path


def rows(ran):
    """The cells of a table, its titles first."""
    assert (ran.code, ran.err) == (0, ""), ran
    return [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in ran.out.splitlines()]


def document_of(ran):
    """The one object that was printed, whose comment says where it is from."""
    assert ran.code == 0, ran
    assert ran.out.startswith("# ")
    return yaml.safe_load(ran.out)


def test_which_kinds_there_are(asked):
    titles, *found = rows(asked())
    assert titles == ["RESOURCE", "KEYS"]
    counts = {name: int(count) for name, count in found}
    assert list(counts) == sorted(counts)
    assert counts["nodes"] == len(controlplane.NODES)
    assert counts["pods"] == len(APPS) * controlplane.PODS_EACH
    assert (counts["widgets.example.com"], counts["caches.example.org"]) == (1, 1)
    assert counts["(other)"] == 1
    assert asked("--json").document == counts


@pytest.mark.parametrize("word", ["deployments", "deploy", "Deployment", "deployments.apps", "deployments.v1.apps"])
def test_the_objects_of_a_kind(asked, word):
    titles, *found = rows(asked(word, "-n", "shop"))
    assert titles == ["NAMESPACE", "NAME", "AGE", "SIZE", "REVISION"]
    assert [(row[0], row[1]) for row in found] == [("shop", "cart"), ("shop", "search"), ("shop", "web")]
    assert len(rows(asked(word))) == 1 + len(APPS)


def test_the_objects_as_json(asked):
    found = asked("deployments", "-n", "shop", "--json").document
    assert [one["name"] for one in found] == ["cart", "search", "web"]
    assert found[0] == {
        "resource": "deployments", "namespace": "shop", "name": "cart", "uid": found[0]["uid"],
        "created_at": "2026-11-20T08:00:00Z", "size_bytes": found[0]["size_bytes"], "mod_revision": 2,
        "encrypted": None, "problem": None,
    }  # fmt: skip
    assert asked("ingresses", "--json").document == []


def test_what_is_in_no_namespace_is_found_in_each(asked):
    assert [row[:2] for row in rows(asked("no"))[1:]] == [["-", name] for name in sorted(controlplane.NODES)]
    assert rows(asked("nodes", "-n", "shop")) == rows(asked("no"))


@pytest.mark.parametrize("word", ["widgets.example.com", "widgets", "widget", "WG", "widgets.v1.example.com"])
def test_kinds_that_the_cluster_defines(asked, word):
    assert [row[:2] for row in rows(asked(word))[1:]] == [["shop", "one"]]


def test_a_kind_without_its_definition_is_known_by_its_keys(asked):
    assert [row[:2] for row in rows(asked("caches.example.org"))[1:]] == [["shop", "sessions"]]
    assert document_of(asked("caches.example.org", "sessions"))["spec"]["size"] == 3


def test_one_object_as_yaml(asked, made):
    ran = asked("deployment", "web", "-n", "shop")
    assert ran.err == ""
    assert ran.out.splitlines()[0] == f"# Deployment web, from {made.ids[0]}"
    found = document_of(ran)
    assert list(found) == ["apiVersion", "kind", "metadata", "spec"]
    assert found["metadata"] == {"name": "web", "namespace": "shop", "labels": {"app.kubernetes.io/name": "web"}}
    assert found["spec"]["replicas"] == controlplane.PODS_EACH


def test_all_of_an_object(asked):
    assert "uid" not in document_of(asked("node", "server-1"))["metadata"]
    found = document_of(asked("node", "server-1", "--whole"))
    assert found["status"]["nodeInfo"]["kubeletVersion"] == controlplane.VERSION
    assert found["metadata"]["creationTimestamp"] == "2026-11-20T08:00:00Z"
    assert asked("node", "server-1", "--json").document == found


def test_an_object_in_protobuf(asked):
    key, value = configmap(7, 1000)
    namespace, name = key.decode().split("/")[-2:]
    found = document_of(asked("cm", name, "-n", namespace, "--whole"))
    assert found == decode(value).object
    assert len(found["data"]["text"]) == 1000


def test_no_character_is_lost_on_the_way(asked):
    found = document_of(asked("cm", "odd", "-n", "shop"))
    assert found == {**config_map("odd", ODD), "metadata": {"name": "odd", "namespace": "shop"}}
    assert document_of(asked("cm", "odd", "-n", "shop", "--whole")) == config_map("odd", ODD)
    assert asked("cm", "odd", "-n", "shop", "--json").document == config_map("odd", ODD)


@pytest.mark.parametrize("words", [("cm",), ("cm", EVIL), ("cm", f"{EVIL}-not"), ("cm", "-n", EVIL), (EVIL,)])
def test_nothing_in_it_steers_the_terminal(asked, words):
    ran = asked(*words)
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & {*ran.out, *ran.err}


def test_an_object_of_that_name_in_several_namespaces(asked):
    ran = asked("cm", "kube-root-ca.crt")
    assert (ran.code, ran.out) == (2, "")
    places = "default, kube-node-lease, kube-system, media, ops, shop and wiki"
    assert f"error: 7 namespaces have cm/kube-root-ca.crt: {places}" in ran.err
    assert "Say which with -n." in ran.err
    assert document_of(asked("cm", "kube-root-ca.crt", "--namespace", "media"))["metadata"]["namespace"] == "media"


def test_as_of_an_earlier_revision(asked, made):
    assert document_of(asked("cm", "changing"))["data"] == {"a": "new"}
    assert document_of(asked("cm", "changing", "--at", str(made.before)))["data"] == {"a": "old"}
    then = asked("--at", str(made.before - 1), "--json").document
    now = asked("--json").document
    assert now.pop("configmaps") - then.pop("configmaps") == 1
    assert now.pop("(other)") == 1  # which came last
    assert list(now.items()) == list(then.items())


@pytest.mark.parametrize("words", [(), ("deployments",), ("deployments", "web")])
@pytest.mark.parametrize(
    ("revision", "said"), [("1", "are compacted"), ("0", "are compacted"), ("999999", "it ends at")]
)
def test_a_revision_that_is_not_there(asked, made, words, revision, said):
    ran = asked(*words, "--at", revision)
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {made.ids[0]} has no revision {int(revision):,}: " in ran.err
    assert said in ran.err
    assert "give --at one of these, or leave it out for the last." in ran.err


@pytest.mark.parametrize("word", ["deploymints", "pods.example.org", "web", "", "caches", "../secrets", "(other)"])
@pytest.mark.parametrize("name", [(), ("web",)])
def test_what_is_no_kind(asked, word, name):
    ran = asked(word, *name)
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {word} is not a kind of object in this snapshot" in ran.err
    assert "It has caches.example.org, configmaps, customresourcedefinitions.apiextensions.k8s.io, " in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("deploy", "wob"), "deploy/wob"),
        (("deploy", "web", "-n", "wiki"), "deploy/web of namespace wiki"),
        (("ingress", "web"), "ingress/web"),
        (("wg", "two"), "wg/two"),
    ],
)
def test_what_is_no_object(asked, made, words, said):
    ran = asked(*words)
    assert (ran.code, ran.out) == (1, "")
    assert f"error: {made.ids[0]} has no {said}\n" in ran.err


@pytest.mark.parametrize("words", [("ingresses",), ("deployments", "-n", "nowhere")])
def test_a_kind_without_objects(asked, words):
    ran = asked(*words)
    assert (ran.code, ran.out, ran.err) == (0, "", "there are none\n")
    assert asked(*words, "--quiet").err == ""


def test_what_the_api_server_encrypted_is_said_to_be(asked):
    titles, *found = rows(asked("secrets", "-n", "shop"))
    assert titles[-1] == "TROUBLE"
    assert {row[1]: row[-1] for row in found}["sealed"] == "encrypted with aescbc/key1"
    by_name = {one["name"]: one for one in asked("secrets", "-n", "shop", "--json").document}
    assert (by_name["sealed"]["encrypted"], by_name["sealed"]["uid"]) == ("aescbc/key1", None)
    assert by_name["web"]["encrypted"] is None
    for more in ((), ("--json",), ("--whole",)):
        ran = asked("secret", "sealed", "-n", "shop", *more)
        assert (ran.code, ran.out) == (1, "")
        assert (
            "secrets/sealed of namespace shop cannot be read: the value is encrypted by the API server, with" in ran.err
        )
        assert "aescbc/key1" in ran.err
        assert "through an API server that has the key" in ran.err


def test_a_value_that_is_no_object_is_listed_with_its_trouble(asked):
    found = {row[1]: row[-1] for row in rows(asked("cm", "-n", "shop"))[1:]}
    assert found["broken"] == "the value is in no encoding that Kubernetes writes"
    ran = asked("cm", "broken")
    assert (ran.code, ran.out) == (1, "")
    assert "configmaps/broken of namespace shop cannot be read: the value is in no encoding" in ran.err


@pytest.mark.parametrize("more", [(), ("--whole",), ("--json",)])
def test_secrets_come_with_a_warning_that_is_not_among_them(asked, more):
    ran = asked("secret", "web", "-n", "shop", *more)
    assert ran.code == 0
    assert yaml.safe_load(ran.out)["data"] == {"password": "ZGVtbw=="}
    warning = "secrets/web of namespace shop holds secrets: what follows is to be treated as such"
    assert warning in (json.loads(ran.err)["message"] if more == ("--json",) else ran.err)
    assert "warning" not in ran.out


def test_the_newest_backup_unless_another_is_named(cli, made):
    key = key_file(cli)
    ran = cli.run("etcd", "get", "deploy", "web", "--identity", f"file:{key}")
    assert f"from {made.ids[1]}\n" in ran.out
    for name in (made.ids[0].removeprefix("etcd/"), f"@{made.ids[0].partition('@')[2]}", f"etcd@{made.ids[0][-15:]}"):
        assert f"from {made.ids[0]}\n" in cli.run("etcd", "get", "deploy", "web", "--from", name).out, name


def test_an_encrypted_backup_needs_its_identity(cli, made):
    ran = cli.run("etcd", "get", "deploy")
    assert (ran.code, ran.out) == (12, "")
    assert "is encrypted and no identity is at hand" in ran.err
    key = key_file(cli, pyrage.x25519.Identity.generate())
    assert cli.run("etcd", "get", "--identity", f"file:{key}").code == 12
    assert cli.run("etcd", "get", "--identity", "file:/nowhere/key").code == 2


@pytest.mark.parametrize("name", ["20250101-000000", "etcd@20250101", "postgres/x", "etcd/other"])
def test_a_backup_that_is_not_there(cli, made, name):
    ran = cli.run("etcd", "get", "--from", name)
    assert (ran.code, ran.out) == (1, "")


def test_a_backup_of_something_else(cli, stocked, made):
    stocked = Stocked(stores={"main": stocked.store})
    backup = stocked.backup(stocked.clock.at)
    assert backup.target.tier is TierKind.POSTGRES
    cli.configure(CONFIG.format(store=cli.store, spool=cli.folder / "spool"))
    ran = cli.run("etcd", "get", "--from", backup.id)
    assert (ran.code, ran.out) == (2, "")
    assert f"{backup.id} is not a backup of etcd" in ran.err


def test_no_backup_yet(cli):
    cli.configure(CONFIG.format(store=cli.store, spool=cli.folder / "spool"))
    ran = cli.run("etcd", "get")
    assert (ran.code, ran.out) == (1, "")
    assert "there is no backup of etcd/control-plane" in ran.err


def test_a_store_out_of_reach(cli):
    cli.configure(CONFIG.format(store="/nowhere/store", spool=cli.folder / "spool"))
    ran = cli.run("etcd", "get")
    assert (ran.code, ran.out) == (10, "")


def test_a_snapshot_of_k3s_in_the_store(cli, made):
    folder = cli.store / "etcd-snapshots"
    folder.mkdir()
    (folder / made.zipped.name).write_bytes(made.zipped.read_bytes())
    cli.configure(CONFIG.format(store=cli.store, spool=cli.folder / "spool"))
    assert cli.run("etcd", "get").code == 1  # never the newest by itself
    assert (
        document_of(cli.run("etcd", "get", "deploy", "web", "--from", "etcd@20251217-193320"))["kind"] == "Deployment"
    )


@pytest.mark.parametrize("kind", ["raw", "zipped"])
def test_a_file_at_hand_needs_no_store(cli, made, kind, monkeypatch):
    cli.configure(CONFIG.format(store="/nowhere/store", spool=cli.folder / "spool"))
    file = getattr(made, kind)
    assert document_of(cli.run("etcd", "get", "deploy", "web", "--from-file", str(file)))["kind"] == "Deployment"
    monkeypatch.chdir(file.parent)
    config = str(cli.folder / "backstay.yaml")
    counts = cli.run("etcd", "get", "--from-file", file.name, "--json", "--config", config).document
    assert counts["deployments"] == len(APPS)
    assert sorted(path.name for path in file.parent.iterdir() if path.name.startswith(".")) == []


def test_an_encrypted_file_at_hand(cli, made):
    file = next(path for path in made.archives if path.name.endswith(".zip.age"))
    key = key_file(cli)
    assert cli.run("etcd", "get", "--from-file", str(file)).code == 12
    ran = cli.run("etcd", "get", "deploy", "--from-file", str(file), "--identity", f"file:{key}")
    assert len(rows(ran)) == 1 + len(APPS)


def damaged(data, kind):
    middle = len(data) // 2
    return {
        "cut": data[:-1000],
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "empty": b"",
        "something else": b"# a note\n" * 1000,
    }[kind]


@pytest.mark.parametrize("words", [(), ("deployments",), ("deployment", "web")])
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "something else"])
@pytest.mark.parametrize("kind", ["raw", "zipped"])
def test_a_damaged_file(cli, made, kind, damage, words):
    original = getattr(made, kind)
    file = cli.folder / original.name
    file.write_bytes(damaged(original.read_bytes(), damage))
    ran = cli.run("etcd", "get", *words, "--from-file", str(file))
    assert (ran.code, ran.out) == (13, ""), ran
    assert ran.err.startswith("error: ")
    assert file.name in ran.err
    assert "snapshot.db" not in ran.err


@pytest.mark.parametrize("kind", ["raw", "zipped"])
def test_a_revision_that_a_file_has_not(cli, made, kind):
    file = getattr(made, kind)
    ran = cli.run("etcd", "get", "--at", "999999", "--from-file", str(file))
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {file.name} has no revision 999,999: it ends at " in ran.err


@pytest.mark.parametrize("name", ["n" * 230, "two words", "ü\u202e"])
def test_a_file_of_a_name_that_is_none_for_the_spool(cli, made, name):
    file = cli.folder / name
    file.write_bytes(made.raw.read_bytes())
    assert document_of(cli.run("etcd", "get", "deploy", "web", "--from-file", str(file)))["kind"] == "Deployment"


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_backup_that_is_damaged_in_the_store(cli, made, damage):
    for path in made.store.rglob("*"):
        if path.is_file() and ".backstay-tmp" not in path.parts:
            copy = cli.store / path.relative_to(made.store)
            copy.parent.mkdir(parents=True, exist_ok=True)
            data = path.read_bytes()
            copy.write_bytes(damaged(data, damage) if path.suffix == ".zip" else data)
    cli.configure(CONFIG.format(store=cli.store, spool=cli.folder / "spool"))
    ran = cli.run("etcd", "get", "deploy", "--from", made.ids[0])
    assert (ran.code, ran.out) == (13, "")
    assert "error: etcd-snapshots/backstay-server-1-" in ran.err


def test_a_file_that_is_not_there(cli, made):
    ran = cli.run("etcd", "get", "--from-file", "nothing")
    assert (ran.code, ran.out) == (2, "")
    assert "there is no file nothing" in ran.err
    assert cli.run("etcd", "get", "--from-file", str(cli.folder)).code == 2
    both = cli.run("etcd", "get", "--from", made.ids[0], "--from-file", str(made.raw))
    assert (both.code, "--from and --from-file exclude each other" in both.err) == (2, True)


def test_without_a_section_etcd(cli, taken):
    cli.configure(f'cluster: home\nstores: {{main: {{url: "file://{taken.store}"}}}}')
    for words in ((), ("deploy",), ("--from", taken.ids[0]), ("--from-file", str(taken.raw))):
        ran = cli.run("etcd", "get", *words)
        assert (ran.code, ran.out) == (2, "")
        assert "the configuration has no section etcd" in ran.err


def test_a_spool_that_cannot_be_made(cli, made):
    (cli.folder / "file").touch()
    cli.configure(CONFIG.format(store=made.store, spool=cli.folder / "file" / "spool"))
    ran = cli.run("etcd", "get", "--from", made.ids[0])
    assert (ran.code, ran.out) == (1, "")
    assert "the spool folder" in ran.err
    assert "etcd.spool" in ran.err


@pytest.mark.parametrize("command", [("etcd", "get", "--from"), ("verify",)])
@pytest.mark.parametrize("free", [0, 1 << 40])
def test_a_spool_that_is_full(cli, made, monkeypatch, command, free):
    """Known before, or found out on the way."""
    real = os.write

    def write(descriptor, data):
        if f"{cli.folder}/spool/" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((1, 1, free, free, free, *[0] * 5)))
    ran = cli.run(*command, made.ids[0])
    assert ran.code == 1, ran
    assert f"there is no room for {made.ids[0]} in {cli.folder}/spool: " in ran.err
    assert "etcd.spool names another folder" in ran.err
    assert "bug" not in ran.err


def test_only_what_was_asked_for_is_on_stdout(cli, made):
    """As a process of its own, whose output is a pipe."""
    ran = cli.spawn("etcd", "get", "deploy", "web", "--from", made.ids[0])
    assert ran.code == 0
    assert yaml.safe_load(ran.out)["kind"] == "Deployment"
    assert cli.spawn("etcd", "get", "deploy", "web", "--from", made.ids[0], "--no-progress").err == ""


def test_the_page_says_every_exit_status_seen_here():
    said = get.__doc__.partition("Exit status:")[2]
    assert all(f"{code} " in said for code in (0, 1, 2, 10, 12, 13, 130))

"""``backstay etcd files``: what an encrypted backup has beside the snapshot."""

import io
import tarfile

import pytest
from pyrage import x25519

from tests.fixtures.etcd import client_of, single

IDENTITY = x25519.Identity.generate()
CONFIG = """
cluster: home
stores: {{main: {{url: "file://{store}"}}}}
encryption: {{recipients: [{recipient}], identity: "file:{key}"}}
etcd: {{flavor: k3s, node: server-1, endpoints: [{endpoint}], data_dir: {data}, keep: {{days: 7}}}}
"""


@pytest.fixture
def backed_up(cli, tmp_path):
    server = tmp_path / "k3s/server"
    (server / "manifests").mkdir(parents=True)
    (server / "token").write_text("the token")
    (server / "manifests/app.yaml").write_text("kind: List")
    (server / "manifests/link.yaml").symlink_to("app.yaml")
    key = tmp_path / "key.txt"
    key.touch(mode=0o600)
    key.write_text(str(IDENTITY))
    with single(tmp_path / "etcd") as etcd:
        with client_of(etcd) as client:
            client.put(b"/registry/namespaces/default", b"{}")
        cli.configure(
            CONFIG.format(
                store=cli.store,
                recipient=IDENTITY.to_public(),
                key=key,
                endpoint=etcd.endpoint,
                data=tmp_path / "k3s",
            )
        )
        assert cli.run("store", "init").code == 0
        ran = cli.run("backup", "etcd", "--quiet")
    assert ran.code == 0, ran
    return server


def test_they_are_listed(cli, backed_up):
    found = cli.run("etcd", "files", "--json").document
    names = [one["name"] for one in found]
    assert names[0] == "backstay-server.json"
    assert f"{backed_up}/token".lstrip("/") in names


def test_they_are_laid_into_a_new_folder_that_is_closed_to_others(cli, backed_up, tmp_path):
    ran = cli.run("etcd", "files", "--to", "laid")
    assert ran.code == 0, ran
    laid = tmp_path / "laid"
    assert laid.stat().st_mode & 0o777 == 0o700
    assert laid.joinpath(*backed_up.parts[1:], "token").read_text() == "the token"
    assert not [path for path in laid.rglob("*") if path.is_symlink()]
    again = cli.run("etcd", "files", "--to", "laid")
    assert again.code == 2
    assert "is there already" in again.err


def test_a_name_that_leads_out_of_the_folder_is_refused(cli, backed_up, tmp_path, monkeypatch):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("a/../../escaped")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"bad"))
    from backstay.tiers.etcd import serverread

    class Source:
        backup = type("B", (), {"id": "x", "artifact": staticmethod(lambda _role: True)})

        @staticmethod
        def open(_role):
            from contextlib import nullcontext

            return nullcontext(iter([made.getvalue()]))

    with pytest.raises(Exception, match="a name that no backup has"):
        serverread.extract(Source, tmp_path / "laid")
    assert not (tmp_path / "escaped").exists()


def test_a_backup_without_them_says_how_to_have_them(cli, backed_up):
    text = (cli.folder / "backstay.yaml").read_text()
    with single(cli.folder / "etcd2") as etcd:
        lines = [line for line in text.splitlines() if not line.startswith("encryption")]
        cli.configure("\n".join(lines).replace(text.split("endpoints: [")[1].split("]")[0], etcd.endpoint))
        assert cli.run("backup", "etcd", "--quiet").code == 0
    ran = cli.run("etcd", "files")
    assert ran.code == 2
    assert "encryption.recipients" in ran.err

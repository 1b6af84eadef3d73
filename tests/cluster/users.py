"""Who may call a control plane: its certificates, its tokens, a kubeconfig for each user, and their ways in."""

import csv
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from backstay.tiers.etcd.controlplane import TlsFiles
from tests.cluster.api import Api
from tests.cluster.kubectl import kubectl
from tests.fixtures.etcd import Certificates, certificates

ADMIN, NOBODY, READER = "admin", "nobody", "reader"
EVERYTHING = ("system:masters",)
# Rights beyond those of everyone who is known come from the roles that a test binds.
GROUPS: dict[str, tuple[str, ...]] = {ADMIN: EVERYTHING, NOBODY: (), READER: ()}


class Users:
    """The files of a control plane's users in a folder: ``tokens.csv``, certificates, ``<user>.kubeconfig``.

    With ``hosts`` they are made, for an API server of these names and addresses; without, they are there.
    """

    def __init__(self, folder: Path, hosts: Sequence[str] = ()) -> None:
        self.folder = folder
        self._certificates = certificates(folder) if hosts else Certificates(folder)
        if hosts:
            self._certificates.issue("apiserver", hosts=hosts, server=True)
            lines = (f'{secrets.token_hex(16)},{user},{user},"{",".join(of)}"\n' for user, of in GROUPS.items())
            self._write("tokens.csv", "".join(lines))
            self._service_account_key()
        with (folder / "tokens.csv").open(newline="") as file:
            self.tokens = {user: token for token, user, *_ in csv.reader(file)}

    @property
    def ca(self) -> Path:
        """The CA that signed the API server's certificate, and those of the users who have one."""
        return self._certificates.ca

    @property
    def server(self) -> TlsFiles:
        """The API server's own certificate."""
        return self._certificates.tls("apiserver")

    def with_token(self, url: str, user: str) -> Path:
        """A kubeconfig for one of ``GROUPS``."""
        return self._kubeconfig(url, user, {"token": self.tokens[user]})

    def with_certificate(self, url: str, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig for any user, who shows a client certificate."""
        issued = self._certificates.issue(user, groups=groups)
        shown = {"client-certificate": str(issued.cert), "client-key": str(issued.key)}
        return self._kubeconfig(url, f"{user}-by-certificate", shown)

    def _kubeconfig(self, url: str, user: str, credentials: dict[str, str]) -> Path:
        content: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": str(self.ca)}}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        }
        return self._write(f"{user}.kubeconfig", json.dumps(content, indent=1))  # JSON is YAML

    def _service_account_key(self) -> None:
        """``sa.key`` signs the tokens of service accounts, ``sa.pub`` checks them."""
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._write("sa.key", private.decode())
        self._write("sa.pub", public.decode())

    def _write(self, name: str, content: str) -> Path:
        file = self.folder / name
        file.touch(mode=0o600)
        file.write_text(content)
        return file


class Access:
    """An API server, the users it knows, and its address for programs of this machine."""

    users: Users
    url: str

    @property
    def ca(self) -> Path:
        """The CA of the API server."""
        return self.users.ca

    @property
    def api(self) -> Api:
        """The API as a user sees it who may do everything."""
        return self.api_of(ADMIN)

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of a user who may do everything."""
        return self.kubeconfig_of(ADMIN)

    def token_of(self, user: str) -> str:
        """The token of ``admin`` (may do everything), ``nobody`` or ``reader`` (nothing, unless a role is bound)."""
        return self.users.tokens[user]

    def api_of(self, user: str) -> Api:
        """The API as one of these users sees it."""
        return Api(self.url, self.ca, self.token_of(user))

    def kubeconfig_of(self, user: str) -> Path:
        """A kubeconfig of one of these users."""
        return self.users.with_token(self.url, user)

    def certificate_kubeconfig(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig of any user, known by a client certificate and not by a token."""
        return self.users.with_certificate(self.url, user, groups)

    def kubectl(self, *words: str, input: str | None = None, user: str = ADMIN) -> str:  # noqa: A002 - as subprocess
        """What ``kubectl`` says. Raises ``AssertionError`` with its complaint."""
        return kubectl(self.kubeconfig_of(user), *words, text=input)

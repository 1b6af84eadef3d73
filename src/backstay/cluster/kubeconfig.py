"""Which API server, and as whom: found where kubectl and client-go look, read, merged, and checked.

Rules: kubernetes.io, "Organizing Cluster Access Using kubeconfig Files" (order, merging, relative paths); the fields
are those of client-go's ``tools/clientcmd/api/v1``. What a file says of a credential is in no message and no repr.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import yaml
from lightkube.config import models

from backstay.core.errors import ConfigError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
K3S = Path("/etc/rancher/k3s/k3s.yaml")
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
NAMED = {"clusters": "cluster", "contexts": "context", "users": "user"}  # of each list, the key of its content
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Struct = TypeVar("Struct", bound=msgspec.Struct)


@dataclass(frozen=True)
class Access:
    """How to find the API server. ``kubeconfig``: this file and no other; ``context``: one of its contexts by name.
    ``in_cluster``: the service account of this pod; by default (``None``) where there is one and nothing else is said.
    ``env``: where KUBECONFIG and a pod's own variables are, and what exec plugins are given.
    """

    kubeconfig: Path | str | None = None
    context: str | None = None
    in_cluster: bool | None = None
    env: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False, compare=False)


class Exec(models.UserExec):
    """``users[].user.exec``: a program that gives credentials."""

    interactive_mode: str = msgspec.field(name="interactiveMode", default="IfAvailable")
    provide_cluster_info: bool = msgspec.field(name="provideClusterInfo", default=False)

    def __repr__(self) -> str:
        return f"Exec({self.command!r})"  # its environment may hold secrets


class Cluster(models.Cluster):
    """``clusters[].cluster``."""

    tls_server_name: str | None = msgspec.field(name="tls-server-name", default=None)
    proxy_url: str | None = msgspec.field(name="proxy-url", default=None)
    disable_compression: bool = msgspec.field(name="disable-compression", default=False)


class User(models.User):
    """``users[].user``."""

    exec: Exec | None = None
    as_user: str | None = msgspec.field(name="as", default=None)
    as_uid: str | None = msgspec.field(name="as-uid", default=None)
    as_groups: list[str] | None = msgspec.field(name="as-groups", default=None)
    as_extra: dict[str, list[str]] | None = msgspec.field(name="as-user-extra", default=None)

    def __repr__(self) -> str:
        return "User(...)"  # tokens, keys and passwords

    @property
    def shows_something(self) -> bool:
        """Whether any credential goes with its requests."""
        return any((self.token, self.token_file, self.exec, self.username, self.client_cert, self.client_cert_data))


@dataclass(frozen=True)
class Configuration:
    """One API server and one user. ``source`` says where it was found, for messages; every path is absolute."""

    source: str
    cluster: Cluster
    user: User = field(repr=False)
    env: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    @property
    def host(self) -> str:
        """The server's name or address."""
        return urlsplit(self.cluster.server).hostname or ""


def find(
    access: Access,
    *,
    home: Path | None = None,
    account: Path = SERVICE_ACCOUNT,
    k3s: Path = K3S,
) -> Configuration:
    """The first of: the file named, those of ``KUBECONFIG``, the service account of this pod, ``~/.kube/config``, and
    that of k3s where it can be read. Raises ``ConfigError``.
    """
    if access.kubeconfig is not None:
        return _checked(_choose([Path(access.kubeconfig).expanduser()], access))
    env = access.env
    if access.in_cluster:
        return _checked(_in_cluster(account, env))
    named = [Path(each).expanduser() for each in env.get("KUBECONFIG", "").split(os.pathsep) if each]
    if named:
        there = [path for path in named if path.exists()]
        if not there:
            raise ConfigError(
                f"KUBECONFIG names no file that exists: {', '.join(map(str, named))}",
                hint="Correct it, or unset it to have ~/.kube/config used.",
            )
        return _checked(_choose(there, access))
    if access.in_cluster is None and access.context is None and (account / "token").exists():
        return _checked(_in_cluster(account, env))
    for path in ((home or Path.home()) / ".kube/config", k3s):
        if path.is_file() and os.access(path, os.R_OK):
            return _checked(_choose([path], access))
    unreadable = f" {k3s} is there, but only root may read it." if _is_file(k3s) else ""
    raise ConfigError(
        "there is no configuration for a Kubernetes cluster",
        hint=f"Name a kubeconfig, set KUBECONFIG, or run in a pod with a service account.{unreadable}",
    )


def _in_cluster(account: Path, env: Mapping[str, str]) -> Configuration:
    host, port = env.get("KUBERNETES_SERVICE_HOST", ""), env.get("KUBERNETES_SERVICE_PORT", "443")
    token, authority = account / "token", account / "ca.crt"
    for lacking, what in (
        (not host, "KUBERNETES_SERVICE_HOST is not set"),
        (not token.exists(), f"there is no {token}"),
        (not authority.exists(), f"there is no {authority}"),
    ):
        if lacking:
            raise ConfigError(
                f"this is no pod with a service account: {what}",
                hint="See that the pod does not set automountServiceAccountToken: false, or name a kubeconfig.",
            )
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    cluster = Cluster(server=server, certificate_auth=str(authority))
    # The token is a file because the kubelet renews it (an hour, by default).
    return Configuration("the service account of this pod", cluster, User(token_file=str(token)), env)


def _choose(paths: Sequence[Path], access: Access) -> Configuration:
    """The context asked for, or the current one, out of the files merged: what comes first wins, as with kubectl."""
    lists: dict[str, dict[str, Any]] = {key: {} for key in NAMED}
    current = ""
    for path in paths:
        document = _read(path)
        current = current or str(document.get("current-context") or "")
        for key, inner in NAMED.items():
            for name, content in _entries(document, key, inner, path):
                lists[key].setdefault(name, (content, path))
    where = " and ".join(map(str, paths))
    contexts = lists["contexts"]
    name = access.context or current or (next(iter(contexts)) if len(contexts) == 1 else "")
    if not name:
        raise ConfigError(f"{where} has no current context", hint=_known("contexts", contexts, "Name one of them"))
    found = _pick(contexts, name, models.Context, "context", where)
    cluster = _pick(lists["clusters"], found.cluster, Cluster, "cluster", where)
    user = _pick(lists["users"], found.user, User, "user", where) if found.user else User()
    return Configuration(f"{where}, context {name}", cluster, user, access.env)


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=YAML_LOADER)  # noqa: S506 - a safe one
    except FileNotFoundError:
        raise ConfigError(f"there is no kubeconfig {path}", hint="Correct its path.") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"the kubeconfig {path} cannot be read: {reason}") from None
    except yaml.MarkedYAMLError as error:  # its text would quote the line, which may hold a token
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"the kubeconfig {path} is not YAML{line}: {error.problem}") from None
    except yaml.YAMLError:
        raise ConfigError(f"the kubeconfig {path} is not YAML") from None
    if not isinstance(document, dict):
        raise ConfigError(f"the kubeconfig {path} is empty or no kubeconfig", hint="Give the file that kubectl uses.")
    return document


def _entries(document: Mapping[str, Any], key: str, inner: str, path: Path) -> list[tuple[str, Any]]:
    entries = document.get(key) or []
    if not isinstance(entries, list) or not all(isinstance(each, dict) and "name" in each for each in entries):
        raise ConfigError(f"the kubeconfig {path} is not valid: {key} must be a list of names with a {inner} each")
    return [(str(each["name"]), each.get(inner)) for each in entries]


def _pick(entries: Mapping[str, Any], name: str, kind: type[Struct], what: str, where: str) -> Struct:
    if name not in entries:
        raise ConfigError(f"{where} has no {what} {name!r}", hint=_known(f"{what}s", entries, "It has"))
    content, path = entries[name]
    try:
        found = msgspec.convert(content or {}, kind)
    except msgspec.ValidationError as error:  # names the place and the types, not the value
        raise ConfigError(f"the {what} {name!r} of {path} is not valid: {error}") from None
    for attribute in ("certificate_auth", "client_cert", "client_key", "token_file"):
        value = getattr(found, attribute, None)
        if value:
            setattr(found, attribute, str(path.absolute().parent / value))
    if isinstance(found, User) and found.exec and os.sep in found.exec.command:
        found.exec.command = str(path.absolute().parent / found.exec.command)
    return found


def _known(what: str, entries: Mapping[str, Any], lead: str) -> str:
    return f"{lead}: {', '.join(sorted(entries))}." if entries else f"It has no {what} at all."


def _checked(found: Configuration) -> Configuration:
    """``found``, unless it asks for something that cannot be done, or should not."""
    cluster, user = found.cluster, found.user
    parts = urlsplit(cluster.server)
    for wrong, message, hint in (
        (
            parts.scheme not in {"http", "https"} or not parts.hostname,
            f"its server {cluster.server!r} is not an http or https address",
            "for example https://10.0.0.1:6443",
        ),
        (
            parts.scheme == "http" and parts.hostname not in LOOPBACK and user.shows_something,
            f"it would send credentials unencrypted to {cluster.server}",
            "give the server's https address",
        ),
        (
            cluster.insecure and bool(cluster.certificate_auth or cluster.certificate_auth_data),
            "it has a certificate authority and insecure-skip-tls-verify",
            "remove insecure-skip-tls-verify; kubectl refuses the two together as well",
        ),
        (
            user.auth_provider is not None,
            "auth-provider is not supported; Kubernetes removed it in version 1.26",
            "use the exec plugin of the same provider",
        ),
        (user.as_extra is not None, "as-user-extra is not supported", "leave it out, or use another user"),
        (
            bool(user.client_cert or user.client_cert_data) != bool(user.client_key or user.client_key_data),
            "it has only one of client certificate and client key",
            "give both",
        ),
        (
            bool(user.username) != bool(user.password),
            "it has only one of username and password",
            "give both",
        ),
    ):
        if wrong:
            raise ConfigError(f"{found.source} cannot be used: {message}", hint=f"{hint[0].upper()}{hint[1:]}.")
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False

"""How a server of k3s or RKE2 is set up: its configuration files, its unit and the unit's environment.

``k3s server --cluster-reset`` run by hand sees the files and nothing of the unit, so what the unit says must be handed
to it. Sources: k3s-io/docs, "Configuration Options" (config.yaml, config.yaml.d in order of names, flags win over
files) and its install script (the unit, and ``<unit>.env`` beside it).
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from backstay.core.errors import UsageError
from backstay.tiers.etcd.controlplane import CONFIG_DIRS, ControlPlane, Flavor
from backstay.tiers.etcd.restore.services import System

SHORT = {"-d": "data-dir", "-t": "token", "-s": "server", "-c": "config"}
SWITCHES = {"cluster-init", "cluster-reset", "etcd-s3", "disable-etcd", "disable-apiserver", "debug", "rootless"}
NOT_REPEATED = {  # of the unit: what a reset must not have, or is given in another way
    "server",
    "cluster-init",
    "cluster-reset",
    "cluster-reset-restore-path",
    "token",
    "data-dir",
    "config",
}
NOT_WRITTEN = ("token", "secret", "password", "vpn-auth", "etcd-s3", "datastore")  # plans and journals hold no secrets
VARIABLES = {
    "TOKEN": "token",
    "TOKEN_FILE": "token-file",
    "URL": "server",
    "DATASTORE_ENDPOINT": "datastore-endpoint",
    "DATA_DIR": "data-dir",
    "NODE_NAME": "node-name",
    "CLUSTER_INIT": "cluster-init",
    "CLUSTER_RESET": "cluster-reset",
    "CONFIG_FILE": "config",
}
UNIT_FOLDERS = (
    "etc/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
_TRUE = {"1", "t", "true", "yes", "on"}


@dataclass(frozen=True)
class Setting:
    """One value, and the file a person would change it in."""

    value: str
    where: str

    @property
    def is_on(self) -> bool:
        """Of a switch: whether it is on."""
        return self.value.strip().lower() in _TRUE


@dataclass(frozen=True)
class ServerSettings:
    """What the server is told: ``values`` by name of the flag, ``unit_flags`` to repeat by hand, ``environment``."""

    values: Mapping[str, Setting] = field(default_factory=dict)
    unit_flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> Setting | None:
        """The setting, where there is one that says anything."""
        found = self.values.get(name)
        return found if found and found.value != "" else None

    def is_on(self, name: str) -> bool:
        """Whether a switch is on."""
        found = self.get(name)
        return found is not None and found.is_on


def read_settings(plane: ControlPlane, system: System) -> ServerSettings:
    """The settings of this machine's server. Raises ``UsageError`` for a file that cannot be read."""
    flags, environment = list(_flags(_unit(plane, system))), _environment(plane, system)
    values: dict[str, Setting] = {}
    folder = config_folder(plane, system)
    for path in [folder / "config.yaml", *sorted((folder / "config.yaml.d").glob("*.yaml"))]:
        values |= {name: Setting(value, str(path)) for name, value in _yaml(path).items()}
    prefix = "RKE2_" if plane.flavor is Flavor.RKE2 else "K3S_"
    names = {variable: VARIABLES.get(variable.removeprefix(prefix), "") for variable in environment}
    where = f"the environment of the unit {plane.service}"
    values |= {names[variable]: Setting(value, where) for variable, value in environment.items() if names[variable]}
    values |= {flag.name: Setting(flag.value, f"the unit {plane.service}") for flag in flags}
    kept = tuple(word for flag in flags if _is_repeated(flag.name) for word in flag.words)
    passed = {variable: value for variable, value in environment.items() if names[variable] not in NOT_REPEATED}
    return ServerSettings(values, kept, passed)


def config_folder(plane: ControlPlane, system: System) -> Path:
    """Where ``config.yaml`` is."""
    return plane.config_dir or system.root / CONFIG_DIRS[plane.flavor].lstrip("/")


def _is_repeated(name: str) -> bool:
    return name not in NOT_REPEATED and not any(part in name for part in NOT_WRITTEN)


def _yaml(path: Path) -> dict[str, str]:
    """Settings of one file as text; ``etcd-arg+`` and the like add to lists, which nobody here asks for."""
    try:
        found: Any = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise UsageError(
            f"{path} cannot be read: {problem}", hint="k3s would not start with it either. Nothing was changed."
        ) from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds no settings", hint="It must be `name: value` lines. Nothing was changed.")
    return {str(name): _text(value) for name, value in found.items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return "" if value is None else str(value)


def _unit(plane: ControlPlane, system: System) -> list[str]:
    """The words of ExecStart after ``server``; nothing where there is no such unit."""
    for folder in UNIT_FOLDERS:
        path = system.root / folder / f"{plane.service}.service"
        if path.is_file():
            text = re.sub(r"\\\n", " ", path.read_text(errors="replace"))
            starts = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
            words = shlex.split(starts[-1]) if starts else []
            return words[words.index("server") + 1 :] if "server" in words else []
    return []


def _environment(plane: ControlPlane, system: System) -> dict[str, str]:
    """``NAME=value`` of the files that the install scripts write for the unit."""
    found: dict[str, str] = {}
    beside = f"etc/systemd/system/{plane.service}.service.env"
    for name in (f"etc/default/{plane.service}", f"etc/sysconfig/{plane.service}", beside):
        try:
            lines = (system.root / name).read_text(errors="replace").splitlines()
        except (FileNotFoundError, NotADirectoryError):
            continue
        pairs = (line.strip().partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
        found |= {key.removeprefix("export ").strip(): value.strip().strip("'\"") for key, _, value in pairs}
    return {name: value for name, value in found.items() if name.startswith(("K3S_", "RKE2_"))}


@dataclass(frozen=True)
class _Flag:
    name: str
    value: str
    words: tuple[str, ...]  # as they stood


def _flags(words: list[str]) -> Iterator[_Flag]:
    """``--a=b``, ``--a b``, and ``--a`` for a switch."""
    position = 0
    while position < len(words):
        word = words[position]
        flag, equals, value = word.partition("=")
        position += 1
        if not flag.startswith("-"):
            continue
        name = SHORT.get(flag, flag.lstrip("-"))
        follows = position < len(words) and not words[position].startswith("-")
        if equals or name in SWITCHES or not follows:
            yield _Flag(name, value if equals else "true", (word,))
        else:
            yield _Flag(name, words[position], (word, words[position]))
            position += 1

"""How a server of k3s or RKE2 is set up: its configuration files, its unit and the unit's environment.

``k3s server --cluster-reset`` run by hand sees the files and nothing of the unit, so what the unit says must be handed
to it. Sources: k3s-io/docs, "Configuration Options", and k3s, pkg/configfilearg/parser.go (which file; ``<file>.d`` in
order of names; what is in files is taken for flags before the others, so that it wins over the environment);
systemd.unit(5), systemd.service(5) and systemd.exec(5) for the unit and its drop-ins.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
    "data-dir",
    "config",
}
NOT_WRITTEN = ("token", "secret", "password", "vpn-auth", "etcd-s3", "datastore")  # plans and journals hold no secrets
OF_TOKEN = {"token": "TOKEN", "token-file": "TOKEN_FILE"}  # given to a reset in its environment, never as a flag
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
UNIT_FOLDERS = (  # the first that has a file wins
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
YAML = {".yaml", ".yml"}
_ASSIGNED = re.compile(r"^[ \t]*(ExecStart|Environment|EnvironmentFile)[ \t]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*[#;].*\n?", re.MULTILINE)
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
    """What the server is told: ``values`` by name of the flag. ``config`` is the file that it reads, ``unit_flags`` are
    to be repeated for a run by hand, ``environment`` is what that is given; the server token is in it: it is for no
    plan, journal or log."""

    values: Mapping[str, Setting]
    config: Path
    unit_flags: tuple[str, ...]
    environment: Mapping[str, str]

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
    unit = _unit(plane, system)
    flags, environment = list(_flags(_command(unit, plane))), _environment(unit, plane, system)
    prefix = "RKE2_" if plane.flavor is Flavor.RKE2 else "K3S_"
    names = {variable: VARIABLES.get(variable.removeprefix(prefix), "") for variable in environment}
    where = f"the environment of the unit {plane.service}"
    values = {names[variable]: Setting(value, where) for variable, value in environment.items() if names[variable]}
    named = environment.get(f"{prefix}CONFIG_FILE") or next((flag.value for flag in flags if flag.name == "config"), "")
    config = Path("/", named) if named else config_folder(plane, system) / "config.yaml"
    if named and not config.exists():
        raise UsageError(
            f"{config}, which the unit {plane.service} names as its configuration, is not there",
            hint=f"{plane.service} would not start without it. Nothing was changed.",
        )
    for path in _files(config):
        values |= {name: Setting(value, str(path)) for name, value in _yaml(path).items()}
    values |= {flag.name: Setting(flag.value, f"the unit {plane.service}") for flag in flags}
    kept = tuple(word for flag in flags if _is_repeated(flag.name) for word in flag.words)
    passed = {variable: value for variable, value in environment.items() if names[variable] not in NOT_REPEATED}
    passed |= {f"{prefix}{OF_TOKEN[flag.name]}": flag.value for flag in flags if flag.name in OF_TOKEN}
    return ServerSettings(values, config, kept, passed)


def config_folder(plane: ControlPlane, system: System) -> Path:
    """Where ``config.yaml`` is, unless the unit names another file."""
    return plane.config_dir or system.root / CONFIG_DIRS[plane.flavor].lstrip("/")


def _is_repeated(name: str) -> bool:
    return name not in NOT_REPEATED and not any(part in name for part in NOT_WRITTEN)


def _files(config: Path) -> list[Path]:
    """The configuration and what is dropped in beside it, in the order in which the later wins."""
    dropped = config.with_name(f"{config.name}.d").glob("*")
    return [config, *sorted(path for path in dropped if path.suffix.lower() in YAML)]


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


def _unit(plane: ControlPlane, system: System) -> dict[str, list[str]]:
    """What the unit and its drop-ins assign to each name, in order; an empty assignment forgets those before it."""
    found: dict[str, list[str]] = {"ExecStart": [], "Environment": [], "EnvironmentFile": []}
    for path in _unit_files(f"{plane.service}.service", system):
        text = re.sub(r"\\\n", " ", _COMMENT.sub("", path.read_text(errors="replace")))
        for name, value in _ASSIGNED.findall(text):
            found[name] = [*found[name], value] if value else []
    return found


def _unit_files(name: str, system: System) -> list[Path]:
    """The unit and its drop-ins, those in order of their names wherever they are; nothing where there is no unit."""
    folders = [system.root / folder for folder in UNIT_FOLDERS]
    unit = next((folder / name for folder in folders if (folder / name).is_file()), None)
    dropped = {path.name: path for folder in reversed(folders) for path in (folder / f"{name}.d").glob("*.conf")}
    in_order = [dropped[each] for each in sorted(dropped) if dropped[each].is_file()]  # a link to /dev/null is none
    return [unit, *in_order] if unit else []


def _command(unit: Mapping[str, list[str]], plane: ControlPlane) -> list[str]:
    """The words of ExecStart after ``server``."""
    words = _split(unit["ExecStart"][-1], plane) if unit["ExecStart"] else []
    return words[words.index("server") + 1 :] if "server" in words else []


def _environment(unit: Mapping[str, list[str]], plane: ControlPlane, system: System) -> dict[str, str]:
    """``NAME=value`` of the unit, and of the files that it names, which win."""
    words = [word for line in unit["Environment"] for word in _split(line, plane)]
    found = {name: value for name, _, value in (word.partition("=") for word in words)}
    for name in unit["EnvironmentFile"]:
        try:
            lines = _path(name, plane, system).read_text(errors="replace").splitlines()
        except (FileNotFoundError, NotADirectoryError):
            continue
        pairs = (line.strip().partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
        found |= {key.removeprefix("export ").strip(): value.strip().strip("'\"") for key, _, value in pairs}
    return {name: value for name, value in found.items() if name.startswith(("K3S_", "RKE2_"))}


def _path(name: str, plane: ControlPlane, system: System) -> Path:
    """Of an EnvironmentFile: ``-`` before it allows that it is missing; the install scripts write ``%N`` for the
    unit's name."""
    words = {"%%": "%", "%n": f"{plane.service}.service", "%N": plane.service, "%p": plane.service}
    return system.root / re.sub("%[%nNp]", lambda found: words[found[0]], name.removeprefix("-")).lstrip("/")


def _split(text: str, plane: ControlPlane) -> list[str]:
    """Words of a unit, of which none is said in the error: they may be secret. Raises ``UsageError``."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(
            f"the unit {plane.service} cannot be read: {error}",
            hint=f"See `systemctl cat {plane.service}`. Nothing was changed.",
        ) from error


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

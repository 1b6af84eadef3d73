"""From a file to a ``Config``: where it is looked for, and everything wrong with it told at once, by line.

pydantic and the models are imported when ``load`` is called, so that commands without a configuration start fast.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from backstay.config.problems import Path, Problem, config_error, from_pydantic
from backstay.config.yamltree import Node, Unreadable, plain, read, walk
from backstay.core.errors import ConfigError

if TYPE_CHECKING:
    from backstay.config.models.root import Config

FILE_NAME = "backstay.yaml"
CONFIG_VARIABLE = "BACKSTAY_CONFIG"
MAX_CONFIG_BYTES = 1_048_576


@dataclass(frozen=True)
class Origin:
    """Where a value in the file stands: its line, counted from 1, and the environment variables expanded in it."""

    line: int
    variables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loaded:
    """A valid configuration. ``text`` is the file as it stands, without variables expanded: it can be stored.

    ``origins`` has each value, list and section that the file gives, by its path.
    """

    config: "Config"
    path: FilePath
    text: str
    origins: Mapping[Path, Origin]


def load(path: FilePath | None, env: Mapping[str, str], *, cwd: FilePath | None = None) -> Loaded:
    """The configuration in ``path``, or in the first place of ``places`` that has one.

    Raises ``ConfigError``: no file, not readable, or a line for each fault, in ``context["problems"]`` as data.
    """
    found = path if path is not None else _find(env, cwd or FilePath())
    text = _read_file(found)
    return parse(text, found, env)


def parse(text: str, path: FilePath, env: Mapping[str, str]) -> Loaded:
    """The configuration in ``text``; ``path`` is what messages call it. Raises ``ConfigError``."""
    try:
        root, problems = read(text, env)
    except Unreadable as stopped:
        raise config_error(str(path), [stopped.problem]) from None
    if root.value is None:
        raise ConfigError(f"{path} is empty", hint="`backstay init` writes one to start from.")
    nodes = dict(walk(root))
    config = _validated(root, {place: node.line for place, node in nodes.items()}, problems)
    if config is None:
        raise config_error(str(path), problems)
    given = {place: node for place, node in nodes.items() if node.value is not None}
    return Loaded(config, path, text, {place: Origin(node.line, node.variables) for place, node in given.items()})


def places(env: Mapping[str, str], cwd: FilePath) -> Iterator[FilePath]:
    """Where a configuration is looked for when none is named, in this order."""
    yield cwd / FILE_NAME
    home = env.get("HOME")
    own = env.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    if own.startswith("/"):  # the XDG specification ignores a relative one
        yield FilePath(own) / "backstay" / FILE_NAME
    yield FilePath("/etc/backstay") / FILE_NAME


def _find(env: Mapping[str, str], cwd: FilePath) -> FilePath:
    named = env.get(CONFIG_VARIABLE)
    if named:
        hint = f"The environment variable {CONFIG_VARIABLE} names it."
        with _looking(FilePath(named), hint):
            if not FilePath(named).exists():
                raise ConfigError(f"there is no file {named}", hint=hint)
        return FilePath(named)
    candidates = list(places(env, cwd))
    found = next((candidate for candidate in candidates if _is_file(candidate)), None)
    if found is None:
        looked = ", ".join(str(candidate) for candidate in candidates)
        raise ConfigError("there is no configuration", hint=f"`backstay init` writes one. Looked for {looked}.")
    return found


def _is_file(candidate: FilePath) -> bool:
    """Not skipped where that cannot be told: another configuration than the one that is meant would be used."""
    hint = f"It is where a configuration is looked for. Name one with --config or {CONFIG_VARIABLE}"
    with _looking(candidate, f"{hint}, or set HOME to this account's own folder."):
        return candidate.is_file()


@contextmanager
def _looking(path: FilePath, hint: str) -> Iterator[None]:
    """Path.is_file and the like raise where a folder above may not be entered."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{path} cannot be looked at: {error.strerror}", hint=hint) from error


def _read_file(path: FilePath) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}", hint="`backstay init` writes one to start from.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="Check its owner and mode.") from error
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path} is larger than 1 MiB", hint="It does not look like a configuration.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: is not text in UTF-8", hint="Save the file as UTF-8.") from None


def _validated(root: Node, lines: Mapping[Path, int], problems: list[Problem]) -> "Config | None":
    """The configuration, or ``None`` with what is wrong added to ``problems``; only the first fault of a place."""
    from pydantic import ValidationError

    from backstay.config.models.root import Config
    from backstay.config.rules import faults

    config = None
    try:
        config = Config.model_validate(plain(root))
        found = faults(config)
    except ValidationError as error:
        found = [from_pydantic(details) for details in error.errors()]
    told = {problem.fault.place for problem in problems}
    problems += [Problem(_line(lines, fault.place), fault) for fault in found if fault.place not in told]
    return None if problems else config


def _line(lines: Mapping[Path, int], place: Path) -> int:
    """The line of a place, or of the nearest section around it that the file has."""
    while place not in lines:
        place = place[:-1]
    return lines[place]

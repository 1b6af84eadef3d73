"""Secret references: ``backstay.yaml`` names where a secret is, never the secret.

| reference | the value is |
|---|---|
| ``secret:namespace/name/key`` | a key of a Kubernetes Secret, from the folder where it is mounted |
| ``secret:namespace/name`` | the key that the place asks for (``password``, ``AWS_ACCESS_KEY_ID``...) |
| ``env:NAME`` | an environment variable; others on the machine may see it |
| ``file:/path`` | the content of a file |
| ``cmd:program argument`` | what the program prints; split like a shell line, run without a shell |

Where several keys are needed (the credentials of a store), ``file:`` and ``cmd:`` give ``KEY=VALUE`` lines or the
``[default]`` part of an AWS credentials file, and ``env:NAME`` stands for the variables ``NAME_KEY``.
One line break at the end of a value is not part of it.
"""

import os
import re
import shlex
import stat
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backstay.core.errors import SecretError

SECRETS_DIR = "BACKSTAY_SECRETS_DIR"
DEFAULT_SECRETS_DIR = "/run/secrets/backstay"
MAX_SECRET_BYTES = 65_536
COMMAND_TIMEOUT_SECONDS = 30.0
STDERR_TAIL_CHARACTERS = 400

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_FORMS = "secret:namespace/name, env:NAME, file:/path or cmd:program"


@dataclass(frozen=True)
class SecretRef:
    """Where a secret is. ``str()`` is the text in the configuration; it can be shown, for it holds no secret."""

    scheme: str
    body: str

    @classmethod
    def parse(cls, text: str) -> "SecretRef":
        """Raises ``ValueError``; its message never repeats ``text``, which may be a password typed in by mistake."""
        scheme, colon, body = text.partition(":")
        if not colon or scheme not in {"secret", "env", "file", "cmd"}:
            raise ValueError(f"is not a secret reference: write {_FORMS}, never the secret itself")
        if scheme == "secret" and not _is_secret_path(body):
            raise ValueError(
                "is not a reference to a Kubernetes Secret: write secret:namespace/name or secret:namespace/name/key"
            )
        if scheme == "env" and not _NAME.fullmatch(body):
            raise ValueError("does not name an environment variable: write env:NAME")
        if scheme == "file" and (not body.startswith("/") or "\0" in body):
            raise ValueError("does not name a file by its full path: write file:/path")
        if scheme == "cmd" and not _words(body):
            raise ValueError("does not name a program: write cmd:program and its arguments, with quotes in pairs")
        return cls(scheme, body)

    def __str__(self) -> str:
        return f"{self.scheme}:{self.body}"


def _nobody(_: str) -> None:
    return None


def resolve(
    ref: SecretRef,
    *,
    key: str,
    env: Mapping[str, str],
    warn: Callable[[str], None] = _nobody,
    timeout: float = COMMAND_TIMEOUT_SECONDS,
) -> str:
    """The secret behind ``ref``; ``key`` is the key taken from a Kubernetes Secret when ``ref`` names none.

    ``warn`` is told of a file that others can read. ``timeout`` (seconds) is for ``cmd:``. Raises ``SecretError``,
    also when the value is empty or longer than 64 KiB.
    """
    if ref.scheme == "secret":
        return _checked(ref, _mounted(ref, key, env))
    if ref.scheme == "env":
        if ref.body not in env:
            raise SecretError(f"{ref}: the environment variable is not set", hint=f"Set {ref.body}.")
        return _checked(ref, env[ref.body])
    text = _read(ref, Path(ref.body), warn) if ref.scheme == "file" else _run(ref, env, timeout)
    return _checked(ref, text)


def resolve_keys(
    ref: SecretRef,
    keys: Sequence[str],
    *,
    optional: Sequence[str] = (),
    env: Mapping[str, str],
    warn: Callable[[str], None] = _nobody,
    timeout: float = COMMAND_TIMEOUT_SECONDS,
) -> dict[str, str]:
    """Several keys of one secret: all of ``keys``, and those of ``optional`` that are there.

    Otherwise as ``resolve``. A key at the end of a ``secret:`` reference is refused here: it names just one value.
    """
    if ref.scheme == "secret":
        found = _mounted_keys(ref, (*keys, *optional), env)
    elif ref.scheme == "env":
        found = {key: env[f"{ref.body}_{key}"] for key in (*keys, *optional) if f"{ref.body}_{key}" in env}
    else:
        text = _read(ref, Path(ref.body), warn) if ref.scheme == "file" else _run(ref, env, timeout)
        given = _key_values(ref, text)
        found = {key: given[key.upper()] for key in (*keys, *optional) if key.upper() in given}
    missing = [key for key in keys if not found.get(key)]
    if missing:
        raise SecretError(f"{ref}: there is no {' and no '.join(missing)}", hint=_where_keys_are(ref, missing, env))
    return {key: _checked(ref, value) for key, value in found.items() if value}


def _is_secret_path(body: str) -> bool:
    parts = body.split("/")
    return len(parts) in {2, 3} and all(_PART.fullmatch(part) and ".." not in part for part in parts)


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _folder(ref: SecretRef, env: Mapping[str, str]) -> Path:
    return Path(env.get(SECRETS_DIR) or DEFAULT_SECRETS_DIR).joinpath(*ref.body.split("/")[:2])


def _mounted(ref: SecretRef, key: str, env: Mapping[str, str]) -> str:
    named = ref.body.split("/")[2:]
    path = _folder(ref, env) / (named[0] if named else key)
    if not _is_file(path):
        raise SecretError(f"{ref}: there is no file {path}", hint=_where_mounted(env))
    return _read(ref, path, _nobody)  # the kubelet decides the mode of what it mounts


def _mounted_keys(ref: SecretRef, keys: Sequence[str], env: Mapping[str, str]) -> dict[str, str]:
    if ref.body.count("/") == 2:
        raise SecretError(
            f"{ref} names a single key, and {keys[0]} and others are needed",
            hint=f"Write secret:{ref.body.rpartition('/')[0]}.",
        )
    folder = _folder(ref, env)
    return {key: _mounted(ref, key, env).rstrip("\r\n") for key in keys if _is_file(folder / key)}


def _is_file(path: Path) -> bool:
    """Whether it is one that this account can see."""
    try:
        return path.is_file()
    except PermissionError:
        return False


def _where_mounted(env: Mapping[str, str]) -> str:
    return (
        f"Kubernetes Secrets are read where they are mounted, below {env.get(SECRETS_DIR) or DEFAULT_SECRETS_DIR} "
        f"({SECRETS_DIR} names another folder). Outside the cluster use file:, cmd: or env:."
    )


def _where_keys_are(ref: SecretRef, missing: Sequence[str], env: Mapping[str, str]) -> str:
    if ref.scheme == "secret":
        return _where_mounted(env)
    if ref.scheme == "env":
        return f"Set {' and '.join(f'{ref.body}_{key}' for key in missing)}."
    return f"Give a line {missing[0]}=..., or an AWS credentials file with a [default] part."


def _read(ref: SecretRef, path: Path, warn: Callable[[str], None]) -> str:
    try:
        if not path.is_file():  # also keeps a pipe or a terminal from blocking the run
            raise SecretError(f"{ref}: there is no file {path}", hint="Check the path. Nothing was done.")
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise SecretError(f"{ref}: cannot be read: {error.strerror}", hint="Check its owner and mode.") from error
    if mode & stat.S_IROTH:
        warn(f"{path} can be read by everyone on this machine: chmod 600 {path}")
    return _decoded(ref, data)


def _run(ref: SecretRef, env: Mapping[str, str], timeout: float) -> str:
    words = _words(ref.body)
    try:
        done = subprocess.run(
            words, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise SecretError(
            f"cmd:{words[0]} gave no secret within {timeout:g} s and was stopped",
            hint="It must not ask questions: its input is empty.",
        ) from None
    except OSError as error:
        raise SecretError(f"cmd:{words[0]} cannot be run: {error.strerror}", hint="Give its full path.") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-STDERR_TAIL_CHARACTERS:]
        raise SecretError(
            f"cmd:{words[0]} failed with exit code {done.returncode}", hint=f"It said: {said or '(nothing)'}"
        )
    return _decoded(ref, done.stdout)


def _decoded(ref: SecretRef, data: bytes) -> str:
    if len(data) > MAX_SECRET_BYTES:
        raise SecretError(f"{ref}: more than 64 KiB cannot be a secret", hint="Check what the reference leads to.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SecretError(f"{ref}: is not text in UTF-8", hint="Check what the reference leads to.") from None


def _checked(ref: SecretRef, value: str) -> str:
    trimmed = value.removesuffix("\n").removesuffix("\r")
    if not trimmed:
        raise SecretError(f"{ref}: is empty", hint="Fill it, or remove the reference.")
    return trimmed


def _key_values(ref: SecretRef, text: str) -> dict[str, str]:
    """Keys in upper case, from ``KEY=VALUE`` lines or the ``[default]`` part of an AWS credentials file."""
    found: dict[str, str] = {}
    section = "default"
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if stripped[0] == "[" and stripped[-1] == "]":
            section = stripped[1:-1].strip()
            continue
        key, equals, value = stripped.removeprefix("export ").partition("=")
        if not equals:
            raise SecretError(
                f"{ref}: line {number} is not KEY=VALUE",
                hint="Write KEY=VALUE lines, or the [default] part of an AWS credentials file.",
            )
        if section == "default":
            found[key.strip().upper()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value

"""What must hold before anything is stopped, found out by reading only. Each check raises, or says what it found.

Sources: k3s, pkg/cli/server/server.go and pkg/cluster/bootstrap.go (what a cluster reset refuses, and when);
pkg/etcd/etcd.go (what it moves and writes); etcd's documentation, "Disaster recovery".
"""

import os
import re
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from backstay.cluster.localetcd import programs
from backstay.core.errors import RestoreError, ToolError, ToolMissing, ToolTooOld, UsageError
from backstay.core.model import Backup
from backstay.core.units import format_size
from backstay.tiers.base import Source
from backstay.tiers.etcd import token
from backstay.tiers.etcd.controlplane import ControlPlane, Flavor
from backstay.tiers.etcd.restore.members import is_this
from backstay.tiers.etcd.restore.services import System
from backstay.tiers.etcd.restore.settings import ServerSettings
from backstay.tiers.etcd.serverpart import IN_SERVER_FILES, SERVER

COPIES = 3  # the snapshot, the database made of it, and room for the log and for what is written next
GIVEN = "--token or etcd.token"
LOOPBACKS = 3  # of names that every machine has
MAX_TOKEN_BYTES = 4096
NOTHING = "Nothing was changed."
_MINOR = re.compile(r"v?(\d+)\.(\d+)")


@dataclass(frozen=True)
class Token:
    """The server token that will be used: what is in it, and whether k3s must first be given it."""

    text: str
    where: str
    missing_on_disk: bool
    says: str = ""


def check_root(system: System) -> None:
    """Data folders of etcd belong to root, and services are root's to stop."""
    if system.euid() != 0:
        raise UsageError("restoring etcd needs root on this machine", hint=f"Run it with sudo, on a server. {NOTHING}")


def check_service(plane: ControlPlane, system: System) -> None:
    """There is a systemd to stop and start the service with. Raises ``UsageError``."""
    try:
        system.find("systemctl")
    except ToolMissing as error:
        raise UsageError(
            f"there is no systemctl here to stop and start {plane.service or 'etcd'} with",
            hint=f"Restore by hand: `backstay show` prints the steps for this backup. {NOTHING}",
        ) from error


def check_space(system: System, backup: Backup, folder: Path, *, bumped: bool) -> str:
    """Room for the copies, in the file system that holds the data folder. Raises ``RestoreError``."""
    size = database_size(backup)
    free = system.free_bytes(folder)
    if size is None:
        return f"Disk: {format_size(free)} free; how much is needed is not known before the snapshot is fetched."
    needed = size * (COPIES + bumped)
    require_space(needed, free, folder)
    return f"Disk: needs {format_size(needed)}, {format_size(free)} free."


def require_space(needed: int, free: int, folder: Path) -> None:
    """Bytes on the disk of ``folder``. Raises ``RestoreError``."""
    if free < needed:
        raise RestoreError(
            f"the disk of {folder} is too small: a restore needs {format_size(needed)}, {format_size(free)} are free",
            hint="Make room: `backstay restore cleanup` removes what earlier restores kept, and k3s never removes its "
            f"etcd-old-* folders. {NOTHING}",
        )


def database_size(backup: Backup) -> int | None:
    """Bytes of the snapshot, where the manifest says."""
    size = backup.contents.get("size_bytes")
    artifact = backup.artifact("snapshot")
    known = [size, artifact.plain_size_bytes if artifact else None]
    return next((found for found in known if isinstance(found, int) and found > 0), None)


def check_server_version(plane: ControlPlane, system: System, backup: Backup, *, force: bool) -> str:
    """k3s or RKE2 here is of the same minor version as the one that wrote the snapshot, or newer (k3s-io/docs)."""
    name = "rke2" if plane.flavor is Flavor.RKE2 else "k3s"
    code, said = system.ask([system.find(name, plane.bin), "--version"])
    found = re.search(rf"{name} version (v?[0-9][^\s]*)", said)
    if code != 0 or found is None:
        raise ToolError(f"`{name} --version` does not say its version: {said[-300:]}", hint=f"Is it whole? {NOTHING}")
    return _compared(name, found[1], str(backup.source.get("kubernetes_version", "")), backup, force=force)


def check_etcdutl_version(plane: ControlPlane, backup: Backup, *, force: bool) -> str:
    """etcdutl here is of the minor version of the etcd that wrote the snapshot, or newer."""
    found = programs.version_of(programs.find("etcdutl", plane.bin))
    return _compared("etcdutl", found, str(backup.source.get("server_version", "")), backup, force=force)


def check_token(plane: ControlPlane, settings: ServerSettings, backup: Backup) -> Token:
    """The token that opens the snapshot is the one that k3s will use. Raises ``UsageError`` or ``RestoreError``.

    What k3s uses: its flag or ``K3S_TOKEN``, else config.yaml, else the file ``server/token``. With another token it
    fails only after it has moved the database away ("bootstrap data already found and encrypted with different token").
    """
    file = str(plane.token_file)
    configured, on_disk = _configured(settings), _read(plane.token_file)
    given = (plane.token() or "").strip()
    if given == on_disk:
        given = ""
    candidates = ((given, GIVEN), configured, (on_disk, file))
    text, where = next((pair for pair in candidates if pair[0]), ("", ""))
    if not text:
        return _token_of_backup(backup, file)
    expected = str(backup.contents.get("token_hash", ""))
    if expected and expected not in token_hashes(text):
        named = f"the token that was given ({GIVEN})" if where == GIVEN else f"the token in {where}"
        raise RestoreError(
            f"{named} does not open {backup.id}: its hash is {token_hashes(text)[0]}, the snapshot's {expected}",
            hint=f"Give the token that the cluster had at {backup.stamp} with --token REF. With another one "
            f"{_server(plane)} would stop half-way. {NOTHING}",
        )
    used, place = configured if configured[0] else (on_disk, file)  # by k3s, which looks no further
    if used and token.password_of(used) != token.password_of(text):
        raise UsageError(
            f"the token in {place} is not the one that opens {backup.id}",
            hint=f"{_server(plane)} would use it whatever --token says, and fail after it has moved the database away. "
            f"Put the token of the backup there. {NOTHING}",
        )
    known = (
        "its hash is that of the snapshot" if expected else "whether it opens the snapshot is seen once that is here"
    )
    return Token(text, where, missing_on_disk=not used, says=f"from {where}; {known}.")


def _token_of_backup(backup: Backup, file: str) -> Token:
    """Where this machine knows none: the one among the server's files of the backup. Raises ``UsageError``."""
    there = backup.contents.get(IN_SERVER_FILES) if backup.artifact(SERVER) else False
    if there is None:  # the manifest is of an earlier Backstay, which did not note it
        says = f"none is here; the server's files in the backup may hold one, which would be written to {file}. "
        return Token("", "the backup itself", missing_on_disk=True, says=f"{says}Without one nothing is stopped.")
    if there:
        says = f"none is here; the one among the server's files in the backup is used and written to {file}."
        return Token("", "the backup itself", missing_on_disk=True, says=says)
    nor = ", and the server's files in it hold none" if backup.artifact(SERVER) else ""
    raise UsageError(
        f"no server token is known, and without it {backup.id} cannot be opened{nor}",
        hint="Give the token of the cluster that was backed up with --token REF (file:PATH, env:NAME), set etcd.token "
        f"in backstay.yaml, or write it into {file}. {NOTHING}",
    )


def token_in(source: Source) -> str:
    """The server token among the server's files of a backup. Raises ``RestoreError`` where there is none."""
    with source.open(SERVER) as chunks, tempfile.TemporaryFile() as file:
        for chunk in chunks:
            file.write(chunk)
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            for entry in archive:
                held = archive.extractfile(entry) if entry.name.endswith("/server/token") else None
                if held is not None:
                    return held.read(MAX_TOKEN_BYTES).decode("utf-8", "replace").strip()
    raise RestoreError(
        f"{source.backup.id} holds no server token among the server's files",
        hint=f"Give the token of the cluster that was backed up with --token REF, or set etcd.token. {NOTHING}",
    )


def token_hashes(text: str) -> list[str]:
    """What k3s calls the bootstrap data of a token: by its password, in old clusters by all of it, or by nothing."""
    names = (token.password_of(text), text.strip(), "")
    return [token.key_name(name).removeprefix(token.BOOTSTRAP) for name in names]


def check_settings(plane: ControlPlane, settings: ServerSettings) -> None:
    """Settings with which a reset fails after the stop, or does something else. Raises ``UsageError``."""
    server = _server(plane)
    reasons = {
        "datastore-endpoint": f"this server keeps its state in another database, not in {server}'s etcd",
        "disable-etcd": "this server runs no etcd: restore on one that does",
        "cluster-reset": "it would reset the cluster at every start",
        "cluster-reset-restore-path": "it would restore at every start",
        "server": f"{server} refuses a cluster reset while it is set",
    }
    for name, why in reasons.items():
        found = settings.get(name)
        if found is None or (name in {"disable-etcd", "cluster-reset"} and not found.is_on):
            continue
        if name == "datastore-endpoint" and found.value.startswith("etcd"):
            continue
        raise UsageError(
            f"`{name}` is set in {found.where}: {why}",
            hint=_settings_hint(name, found.where, plane),
        )
    if os.path.ismount(plane.etcd_dir):
        raise UsageError(
            f"{plane.etcd_dir} is a mount point, and {server} renames it in a reset, which cannot be done",
            hint=f"Mount that disk at {plane.db_dir}, with the folder `etcd` in it. {NOTHING}",
        )
    if plane.sqlite_file.exists():
        raise UsageError(
            f"{plane.sqlite_file} exists: {server} would copy that database over the restored one",
            hint=f"Move it to another folder first (it is the state of {server} without etcd). {NOTHING}",
        )


def check_folders(plane: ControlPlane, flags: Mapping[str, str]) -> None:
    """etcd's own flags put its data where a restore will put it. Raises ``UsageError``."""
    if flags.get("wal-dir"):
        raise UsageError(
            f"etcd keeps its log apart (wal-dir {flags['wal-dir']}), which this restore does not know how to replace",
            hint=f"Restore by hand, with etcdutl's --wal-dir: `backstay show` prints the steps. {NOTHING}",
        )
    folder = flags.get("data-dir")
    if folder and Path(folder).resolve() != plane.etcd_dir.resolve():
        raise UsageError(
            f"etcd runs on {folder}, and the configuration says {plane.etcd_dir}",
            hint=f"Correct etcd.data_dir. {NOTHING}",
        )


def node_notes(plane: ControlPlane, settings: ServerSettings, backup: Backup, system: System) -> list[str]:
    """What differs between this machine and the one of that name in the snapshot."""
    found, said = [], settings.get("node-name")
    if said and said.value != plane.node:
        found.append(f"{said.where} calls this machine {said.value}, Backstay {plane.node}.")
    own = [m for m in backup.source.get("members", ()) if isinstance(m, Mapping) and is_this(str(m.get("name")), plane)]
    then = {urlsplit(str(url)).hostname or "" for member in own for url in member.get("peer_urls", ())}
    here = system.addresses() | {"127.0.0.1", "::1", "localhost"}
    if then and len(here) > LOOPBACKS and not then & here:
        found.append(
            f"The address of {plane.node} was {', '.join(sorted(then))} then and is another now: {_server(plane)} "
            "enters the new one. Agents and the other servers must be told of it too."
        )
    return found


def reset_flag_note(plane: ControlPlane) -> list[str]:
    """What a ``reset-flag`` means that is there already."""
    if not (plane.db_dir / "reset-flag").exists():
        return []
    why = "an earlier reset was never followed by a normal start. A reset from a snapshot goes on in spite of it."
    return [f"{plane.db_dir}/reset-flag is there: {why}"]


def _settings_hint(name: str, where: str, plane: ControlPlane) -> str:
    if name == "server":
        return (
            f"Put a # before that line in {where} until the restore is done: `{_server(plane)}` ignores it anyway once "
            f"it has a database. {NOTHING}"
        )
    return f"Take it out of {where}, or restore on another server. {NOTHING}"


def _compared(program: str, here: str, wanted: str, backup: Backup, *, force: bool) -> str:
    if not wanted:
        return f"Version: {program} {here} here; which one wrote the snapshot is not known."
    have, want = (_MINOR.search(version) for version in (here, wanted))
    if have is None or want is None or tuple(map(int, have.groups())) >= tuple(map(int, want.groups())):
        return f"Version: {program} {here} here, {wanted} wrote the snapshot."
    if force:
        return f"Version: {program} {here} is OLDER than the {wanted} that wrote the snapshot; you asked to go on."
    raise ToolTooOld(
        f"{program} {here} is older than the {wanted} that wrote {backup.id}",
        hint=f"Install {program} {want[0]} or newer first: an older one may not read what a newer one wrote. "
        f"--force-version goes on all the same. {NOTHING}",
    )


def _configured(settings: ServerSettings) -> tuple[str, str]:
    """The token that the settings give, and where they do."""
    if found := settings.get("token"):
        return found.value.strip(), found.where
    if found := settings.get("token-file"):
        return _read(Path(found.value)), found.value
    return "", ""


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _server(plane: ControlPlane) -> str:
    return "rke2" if plane.flavor is Flavor.RKE2 else "k3s"

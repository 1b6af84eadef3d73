"""kubeadm: etcd is a static pod, which runs for as long as its manifest is in the kubelet's folder.

All control plane manifests are taken away, for the API server and the controllers must not go on with what they cached
(Kubernetes' documentation, "Operating etcd clusters", restoring). They wait in a folder beside.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from backstay.core.errors import RestoreError, UsageError
from backstay.tiers.etcd.restore import copies
from backstay.tiers.etcd.restore.plain import Plain
from backstay.tiers.etcd.restore.services import System, sync_folder
from backstay.tiers.etcd.restore.work import Work, wait_free

FOLDER = "etc/kubernetes/manifests"
ETCD = "etcd.yaml"
NAMES = ("kube-controller-manager.yaml", "kube-scheduler.yaml", "kube-apiserver.yaml", ETCD)  # in this order they go


class Kubeadm(Plain):
    """A ``Way``."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._manifests, self._away = (Path(work.details[name]) for name in ("manifests", "manifests_away"))

    def stop(self) -> None:
        """Take the manifests away; the kubelet ends the pods."""
        self._away.mkdir(mode=0o700, exist_ok=True)
        sync_folder(self._away.parent)
        for name in NAMES:
            if (self._manifests / name).exists():
                copies.move(self._manifests / name, self._away / name)
        wait_free(self.work.system, self.etcd)

    def start(self) -> None:
        """Put them back, etcd's first."""
        for name in reversed(NAMES):
            if (self._away / name).exists():
                copies.move(self._away / name, self._manifests / name)
        if not (self._manifests / ETCD).exists():
            raise RestoreError(
                f"{self._manifests / ETCD} is not there, so the kubelet will not start etcd",
                hint="`kubeadm init phase etcd local` writes it again. The data folder is in place.",
            )

    def was_up(self) -> bool:
        """Whether the kubelet is told to run etcd."""
        return (self._manifests / ETCD).exists()

    def discard(self) -> None:
        """Also the folder that the manifests waited in, once it is empty."""
        super().discard()
        if self._away.is_dir() and not any(self._away.iterdir()):
            self._away.rmdir()


def manifests_folder(system: System) -> Path:
    """Where the kubelet looks for static pods (staticPodPath, as kubeadm sets it)."""
    return system.root / FOLDER


def etcd_flags(system: System) -> dict[str, str]:
    """The flags of etcd in its manifest, without their dashes. Raises ``UsageError`` for one that cannot be read."""
    path = manifests_folder(system) / ETCD
    try:
        manifest: Any = yaml.safe_load(path.read_text())
        containers = manifest["spec"]["containers"]
        words = [str(word) for word in (*containers[0].get("command", ()), *containers[0].get("args", ()))]
    except FileNotFoundError:
        return {}
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} cannot be read as the manifest of a pod: {error}", hint="Nothing was changed."
        ) from error
    return flags_of(words)


def flags_of(words: list[str]) -> dict[str, str]:
    """``--name=value`` as pairs."""
    pairs = (word.removeprefix("--").partition("=") for word in words if word.startswith("--") and "=" in word)
    return {name: value for name, _, value in pairs}


def service_flags(system: System) -> Mapping[str, str]:
    """The same of ``/etc/default/etcd``: ``ETCD_NAME="a"`` is ``--name=a`` (etcd's documentation, "Configuration")."""
    try:
        lines = (system.root / "etc/default/etcd").read_text(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found: dict[str, str] = {}
    for line in lines:
        name, equals, value = line.strip().partition("=")
        if equals and name.startswith("ETCD_"):
            found[name.removeprefix("ETCD_").lower().replace("_", "-")] = " ".join(shlex.split(value))
    return found

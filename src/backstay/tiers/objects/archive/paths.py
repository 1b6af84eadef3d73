"""Where an object lies in Velero's archive (Velero, pkg/archive/parser.go and pkg/backup/item_backupper.go).

resources/<plural.group>/namespaces/<namespace>/<name>.json
resources/<plural.group>/cluster/<name>.json
resources/<plural.group>/<version>[-preferredversion]/...    a second copy, which Velero writes beside the first
metadata/version                                              of the format; nobody reads it
"""

import re
from dataclasses import dataclass

from backstay.core.errors import ArchiveDamaged

VERSION_FILE = "metadata/version"
END = ".json"
DAMAGED = "It is damaged, or not an archive of Velero or Backstay. Nothing of it was used. Try an older backup."
_RESOURCE = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.ASCII)
_VERSION = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)
MOST_RESOURCE, MOST_NAME = 320, 1024  # plural 63 and group 253; names are 253 but for roles, which have no limit


@dataclass(frozen=True, slots=True)
class Place:
    """Whose file it is. ``namespace`` is empty for cluster-scoped objects."""

    resource: str
    namespace: str
    name: str

    @property
    def words(self) -> str:
        """``configmaps shop/settings``."""
        return f"{self.resource} {self.namespace}/{self.name}" if self.namespace else f"{self.resource} {self.name}"


def path_of(resource: str, namespace: str, name: str) -> str:
    """The path of an object. Raises ``ValueError`` for a name that no file can have."""
    if not _is_part(name) or (namespace and not _is_part(namespace)):
        raise ValueError(f"{namespace}/{name} cannot be the name of a file".lstrip("/"))
    if namespace:
        return f"resources/{resource}/namespaces/{namespace}/{name}{END}"
    return f"resources/{resource}/cluster/{name}{END}"


def place_of(path: str) -> Place | None:
    """Whose file has this path; None for the format's version and for second copies.

    Raises ``ArchiveDamaged`` for every other path: absolute, with ``..`` or empty parts, or just not of this form.
    """
    plain = path.removeprefix("./")
    if plain == VERSION_FILE:
        return None
    parts = plain.split("/")
    if len(parts) < 4 or parts[0] != "resources" or not _is_resource(parts[1]):
        raise _refused(path)
    second = parts[2] not in {"cluster", "namespaces"}
    if second and not _VERSION.fullmatch(parts[2]):
        raise _refused(path)
    place = _place(parts[1], parts[3:] if second else parts[2:])
    if place is None:
        raise _refused(path)
    return None if second else place


def is_folder(path: str) -> bool:
    """Whether this may be the path of a folder in an archive; such entries are of no use, and do no harm."""
    plain = path.removeprefix("./").removesuffix("/")
    first, *rest = plain.split("/")
    return plain in {"", "."} or (first in {"metadata", "resources"} and all(map(_is_part, rest)))


def _place(resource: str, parts: list[str]) -> Place | None:
    file = parts[-1]
    name = file.removesuffix(END)
    if name == file or not _is_part(name):
        return None
    match parts:
        case ["cluster", _]:
            return Place(resource, "", name)
        case ["namespaces", namespace, _] if _is_part(namespace):
            return Place(resource, namespace, name)
    return None


def _is_resource(text: str) -> bool:
    return len(text) <= MOST_RESOURCE and _RESOURCE.fullmatch(text) is not None


def _is_part(text: str) -> bool:
    """What Kubernetes allows as part of a path: anything but a slash, if not a dot or two (apimachinery,
    pkg/api/validation/path)."""
    return 0 < len(text) <= MOST_NAME and text not in {".", ".."} and "/" not in text and "\0" not in text


def _refused(path: str) -> ArchiveDamaged:
    return ArchiveDamaged(f"the archive holds {path[:MOST_NAME]!r}, which has no place in one", hint=DAMAGED)

"""The objects of an archive, each one checked: its path, its size, and that its JSON is the object the path names.

Nothing is written to a path out of an archive, and no member is believed before it was read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from backstay.core.errors import ArchiveDamaged
from backstay.tiers.objects.archive.blocks import members
from backstay.tiers.objects.archive.paths import DAMAGED, Place, is_folder, place_of

MOST_BYTES = 16 << 20  # of one object; etcd takes 1.5 MiB unless it is told otherwise, an API server 3 MiB in a request


class _Metadata(msgspec.Struct):
    name: str
    namespace: str = ""
    uid: str = ""


class _Head(msgspec.Struct):
    api_version: str = msgspec.field(name="apiVersion")
    kind: str
    metadata: _Metadata


@dataclass(frozen=True, slots=True)
class Stored:
    """An object of an archive. ``json`` is all of it, as it was stored."""

    place: Place
    api_version: str
    kind: str
    uid: str
    json: bytes

    @property
    def listed_as(self) -> str:
        """The key of its kind in Velero's resource list: ``apps/v1/Deployment``."""
        return f"{self.api_version}/{self.kind}"


class Checker:
    """Whether bytes are the object that a path names. Called with the path's place and the JSON, it returns the object,
    or raises ``ArchiveDamaged``."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Head).decode

    def __call__(self, place: Place, data: bytes) -> Stored:
        """Its names and its group must be those of the path; of the rest, that it is JSON."""
        if len(data) > MOST_BYTES:
            raise _refused(f"{place.words} of {len(data):,} bytes; at most {MOST_BYTES:,} are an object")
        try:
            head = self._decode(data)
            data.decode()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _refused(f"{place.words}, which is not an object in JSON: {error}") from error
        group = place.resource.partition(".")[2]
        said = (head.metadata.name, head.metadata.namespace, head.api_version.rpartition("/")[0])
        if said != (place.name, place.namespace, group) or not head.kind or not head.api_version:
            raise _refused(
                f"as {place.words} another object: {head.kind[:100]} {head.api_version[:100]} "
                f"{head.metadata.namespace[:100]}/{head.metadata.name[:100]}"
            )
        return Stored(place, head.api_version, head.kind, head.metadata.uid, data)


def objects(chunks: Iterable[bytes], *, limit_bytes: int | None = None) -> Iterator[Stored]:
    """Every object in the order of the archive, second copies (of other versions) left out.

    ``limit_bytes`` bounds the JSON of all of them together. An object that is there twice is for the caller to find
    (``twice``): who keeps an index knows. Raises ``ArchiveDamaged``, and what ``chunks`` raise.
    """
    check = Checker()
    total = 0
    for member in members(chunks, most_bytes=MOST_BYTES):
        if member.folder:
            if not is_folder(member.path):
                raise _refused(f"the folder {member.path[:200]!r}, which has no place in one")
            continue
        total += len(member.data)
        if limit_bytes is not None and total > limit_bytes:
            raise _refused(f"more than the {limit_bytes:,} bytes it should")
        place = place_of(member.path)
        if place is not None:
            yield check(place, member.data)


def twice(place: Place) -> ArchiveDamaged:
    """The error for an object that an archive holds a second time."""
    return _refused(f"{place.words} twice")


def _refused(what: str) -> ArchiveDamaged:
    return ArchiveDamaged(f"the archive holds {what}", hint=DAMAGED)

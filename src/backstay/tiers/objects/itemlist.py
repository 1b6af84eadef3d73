"""The list of items: a line of JSON for each object, in the order of the archive, for reading both side by side."""

from collections.abc import Iterable, Iterator
from hashlib import sha256

import msgspec

from backstay.core.errors import ArchiveDamaged
from backstay.tiers.objects.archive.paths import DAMAGED
from backstay.tiers.objects.archive.reader import Stored

MOST_LINE = 1 << 14  # names are at most 253 characters, of which a few may be escaped


class Line(msgspec.Struct, frozen=True):
    """One object: its names, and size and sha256 of its JSON as stored. ``namespace`` is empty for cluster-scoped."""

    resource: str
    api_version: str = msgspec.field(name="apiVersion")
    namespace: str
    name: str
    uid: str
    size_bytes: int
    sha256: str

    @property
    def words(self) -> str:
        """``configmaps shop/settings``."""
        return f"{self.resource} {self.namespace}/{self.name}" if self.namespace else f"{self.resource} {self.name}"


def line_of(stored: Stored) -> Line:
    """The line of an object."""
    place = stored.place
    digest = sha256(stored.json).hexdigest()
    return Line(place.resource, stored.api_version, place.namespace, place.name, stored.uid, len(stored.json), digest)


def write(line: Line) -> bytes:
    """A line with its end."""
    return msgspec.json.encode(line) + b"\n"


def read(chunks: Iterable[bytes]) -> Iterator[Line]:
    """Every line. Raises ``ArchiveDamaged`` for what is none, and what ``chunks`` raise, of which all are taken."""
    decode = msgspec.json.Decoder(Line).decode
    held = b""
    for chunk in chunks:
        *lines, held = (held + chunk).split(b"\n")
        if len(held) > MOST_LINE:
            raise _damaged("a line that is too long")
        for line in lines:
            try:
                yield decode(line)
            except msgspec.DecodeError as error:
                raise _damaged(f"a line that is none: {error}") from error
    if held:
        raise _damaged("a last line without its end")


def _damaged(what: str) -> ArchiveDamaged:
    return ArchiveDamaged(f"the list of items holds {what}", hint=DAMAGED)

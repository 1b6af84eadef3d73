"""Velero's list of what a backup has, read as a stream: it has a name for each object of a cluster.

``{"apps/v1/Deployment": ["shop/web", ...], "v1/Namespace": ["shop"], ...}``: one map of lists of texts, in any layout.
Source: Velero, pkg/backup/request.go, ``BackupResourceList``.
"""

import re
from collections.abc import Iterable, Iterator

import msgspec

from backstay.core.errors import ArchiveDamaged
from backstay.tiers.objects.archive.paths import DAMAGED

MOST_BYTES = 256 << 20  # of some millions of objects
MOST_TOKEN = 1 << 14  # bytes of a kind or a name, which have a few hundred
TOKEN = re.compile(rb'[ \t\r\n]*([{}\[\],:]|"(?:[^"\\]|\\.)*")', re.DOTALL)
_decode = msgspec.json.Decoder(str).decode


def read(chunks: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Key and name of every object. Raises ``ArchiveDamaged`` for anything else, and what ``chunks`` raise, of which
    all are taken."""
    tokens = _tokens(chunks)
    _expect(tokens, b"{")
    token = next(tokens, b"")
    if token != b"}":
        while True:
            key = _text(token)
            _expect(tokens, b":")
            _expect(tokens, b"[")
            yield from ((key, name) for name in _names(tokens))
            if (token := next(tokens, b"")) == b"}":
                break
            if token != b",":
                raise _damaged(token)
            token = next(tokens, b"")
    if (token := next(tokens, b"")) != b"":
        raise _damaged(token)


def _names(tokens: Iterator[bytes]) -> Iterator[str]:
    """The texts up to the end of the list."""
    token = next(tokens, b"")
    while token != b"]":
        yield _text(token)
        if (token := next(tokens, b"")) == b",":
            token = next(tokens, b"")
            if token == b"]":
                raise _damaged(token)
        elif token != b"]":
            raise _damaged(token)


def _tokens(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Brackets, commas, colons and quoted texts."""
    held, total = b"", 0
    for chunk in chunks:
        total += len(chunk)
        if total > MOST_BYTES:
            raise ArchiveDamaged(f"the resource list has more than {MOST_BYTES:,} bytes", hint=DAMAGED)
        held += chunk
        end = 0
        while found := TOKEN.match(held, end):
            yield found[1]
            end = found.end()
        held = held[end:]
        if len(held) > MOST_TOKEN:
            raise _damaged(held)
    if held.strip():
        raise _damaged(held)


def _expect(tokens: Iterator[bytes], wanted: bytes) -> None:
    if (token := next(tokens, b"")) != wanted:
        raise _damaged(token)


def _text(token: bytes) -> str:
    try:
        return _decode(token)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(token) from error


def _damaged(token: bytes) -> ArchiveDamaged:
    found = repr(token.strip()[:60].decode("utf-8", "replace")) if token else "its end"
    words = f"the resource list is not what it should be: {found} where something else belongs"
    return ArchiveDamaged(words, hint=DAMAGED)

"""The byte pipeline: plain bytes to stored bytes and back, counted and hashed at both ends, never whole in memory.

Encodings are named as the manifest names them, in the order they were applied: ``("gzip", "age")`` is a file that
``age -d | gunzip`` opens. gzip is written by ISA-L where its wheel exists (measured 620 MB/s at level 1 against 27 MB/s
of ``gzip -6``, at about the same ratio) and read by any gzip; zstd is RFC 8878; age is age-encryption.org/v1.
"""

import hashlib
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

from backstay.core.errors import Corrupt, UsageError
from backstay.core.model import Artifact
from backstay.store import zipstream
from backstay.store.agefile import decrypt, encrypt

CHUNK_BYTES = 1 << 20
SUFFIXES = {"gzip": ".gz", "zstd": ".zst", "zip": ".zip", "age": ".age"}
RAW_WBITS = -15  # no header and no trailer around it
GZIP_WBITS = 31  # zlib's way to say: a gzip header and trailer around the deflate stream (zlib manual, inflateInit2)


@dataclass
class Tally:
    """Size and sha256 of a stream as it goes by."""

    size_bytes: int = 0
    _hash: Any = field(default_factory=hashlib.sha256, repr=False)

    def through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks, counted; empty ones are dropped."""
        for chunk in chunks:
            if chunk:
                self._hash.update(chunk)
                self.size_bytes += len(chunk)
                yield chunk

    @property
    def sha256(self) -> str:
        """Hex digest of all that went by so far."""
        return str(self._hash.hexdigest())


@dataclass(frozen=True)
class Encoding:
    """How artifacts are stored: ``compression`` is gzip, zstd, zip or none; ``recipients`` are age or ssh public keys;
    ``entry`` names the file inside a zip archive."""

    compression: str = "gzip"
    level: int = 1
    recipients: tuple[str, ...] = ()
    entry: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The encodings in the order they are applied."""
        compression = () if self.compression == "none" else (self.compression,)
        return (*compression, "age") if self.recipients else compression

    @property
    def suffixes(self) -> tuple[str, str]:
        """What compression and encryption add to a file name: ``.gz`` and ``.age``, or nothing."""
        compressed = "" if self.compression == "none" else SUFFIXES[self.compression]
        return compressed, SUFFIXES["age"] if self.recipients else ""


class Encoded:
    """A stream on its way into the store: iterate, then ask for the ``artifact``, which is of the last time.

    It can be iterated again if ``chunks`` can; ``source`` is what to give to who may want to.
    """

    def __init__(self, chunks: Iterable[bytes], encoding: Encoding) -> None:
        self._chunks = chunks
        self._plain = Tally()
        self._stored = Tally()
        self._encoding = encoding

    @property
    def source(self) -> Iterable[bytes]:
        """This, or an iterator of it where ``chunks`` can be taken only once."""
        return iter(self) if iter(self._chunks) is self._chunks else self

    def __iter__(self) -> Iterator[bytes]:
        self._plain, self._stored = Tally(), Tally()
        stream = self._plain.through(self._chunks)
        if self._encoding.compression == "zip":
            stream = zipstream.write(stream, self._encoding.entry, _raw_deflate(self._encoding.level))
        elif self._encoding.compression != "none":
            stream = compress(stream, self._encoding.compression, self._encoding.level)
        if self._encoding.recipients:
            stream = encrypt(stream, self._encoding.recipients)
        return self._stored.through(stream)

    def artifact(self, role: str, key: str) -> Artifact:
        """What was stored; meaningful when the stream has been taken to its end."""
        return Artifact(
            role=role,
            key=key,
            size_bytes=self._stored.size_bytes,
            sha256=self._stored.sha256,
            plain_size_bytes=self._plain.size_bytes,
            plain_sha256=self._plain.sha256,
            encoding=self._encoding.names,
        )


def decode(chunks: Iterable[bytes], artifact: Artifact, identities: Sequence[str] = ()) -> Iterator[bytes]:
    """The plain bytes of ``artifact`` from its stored ones.

    Raises ``Corrupt`` when sizes or checksums differ from the manifest (at the end), when a stream is malformed (at
    once), and as soon as more plain bytes come than were promised, so that a bomb cannot run on; ``CannotDecrypt``
    when no identity fits. An artifact without recorded checksums (a foreign dump) is checked only by its encodings.
    """
    stored, plain = Tally(), Tally()
    stream = stored.through(chunks)
    for name in reversed(artifact.encoding):
        stream = decrypt(stream, identities, artifact.key) if name == "age" else decompress(stream, name, artifact.key)
    for chunk in plain.through(stream):
        if artifact.plain_sha256 and plain.size_bytes > artifact.plain_size_bytes:
            raise Corrupt(
                f"{artifact.key} holds more than the {artifact.plain_size_bytes:,} bytes its manifest promises",
                hint="The object was changed after the backup. Nothing of it is used. Try an older backup.",
            )
        yield chunk
    for _ in stream:  # pragma: no cover - a stream that ended has nothing more
        pass
    check(artifact, stored, plain)


def check(artifact: Artifact, stored: Tally, plain: Tally | None) -> None:
    """Raise ``Corrupt`` unless the tallies are what the manifest promises."""
    pairs = [("stored", artifact.sha256, artifact.size_bytes, stored)]
    if plain is not None:
        pairs.append(("plain", artifact.plain_sha256, artifact.plain_size_bytes, plain))
    for what, sha256, size, tally in pairs:
        if sha256 and (tally.size_bytes, tally.sha256) != (size, sha256):
            raise Corrupt(
                f"{artifact.key}: {what} bytes are not those of the manifest: {tally.size_bytes:,} bytes with sha256 "
                f"{tally.sha256[:12]}..., expected {size:,} with {sha256[:12]}...",
                hint="The object was changed or cut after the backup. Try an older backup; `backstay list` shows them.",
            )


def compress(chunks: Iterable[bytes], kind: str, level: int) -> Iterator[bytes]:
    """Compress as one gzip member or one zstd frame."""
    compressor = _compressor(kind, level)
    for chunk in chunks:
        if data := compressor.compress(chunk):
            yield data
    yield compressor.flush()


def decompress(chunks: Iterable[bytes], kind: str, key: str) -> Iterator[bytes]:
    """Decompress all gzip members or zstd frames, at most ``CHUNK_BYTES`` at a time. Raises ``Corrupt``."""
    if kind == "zip":
        yield from _unzip(chunks, key)
        return
    make = _decompressor(kind)
    errors: tuple[type[Exception], ...] = (zlib.error, EOFError, *_codec_errors(kind))
    machine, fresh = make(), True
    try:
        for chunk in chunks:
            data = chunk
            while data:
                if machine.eof:
                    machine, fresh = make(), True
                out = machine.decompress(data, CHUNK_BYTES)
                fresh = False
                yield out
                data = _rest(machine)
            while not machine.eof and not fresh and (out := _more(machine)):
                yield out
    except errors as error:
        raise Corrupt(
            f"{key} is not a whole {kind} stream: {error}",
            hint="The object was damaged or is of another kind. Nothing of it is used. Try an older backup.",
        ) from error
    if not machine.eof:
        raise Corrupt(
            f"{key} ends in the middle of its {kind} stream",
            hint="The object was cut short. Nothing of it is used. Try an older backup.",
        )


def _unzip(chunks: Iterable[bytes], key: str) -> Iterator[bytes]:
    errors: tuple[type[Exception], ...] = (zlib.error, *_codec_errors("zip"))
    try:
        yield from zipstream.read(chunks, key, lambda: _deflate().decompressobj(wbits=RAW_WBITS), CHUNK_BYTES)
    except errors as error:
        raise Corrupt(
            f"{key} is not a whole zip archive: {error}",
            hint="The object was damaged or is of another kind. Nothing of it is used. Try an older backup.",
        ) from error


def _raw_deflate(level: int) -> Any:
    return _deflate().compressobj(level=level, wbits=RAW_WBITS)


def _rest(machine: Any) -> bytes:
    """What of its input the machine has not taken: the tail after max_length, or what follows a member's end."""
    if machine.eof:
        return bytes(machine.unused_data)
    if hasattr(machine, "unconsumed_tail"):
        return bytes(machine.unconsumed_tail)
    return b""


def _more(machine: Any) -> bytes:
    """Output held back by max_length in a machine that keeps its own input (zstd)."""
    if hasattr(machine, "unconsumed_tail") or machine.needs_input:
        return b""
    return bytes(machine.decompress(b"", CHUNK_BYTES))


def _compressor(kind: str, level: int) -> Any:
    if kind == "gzip":
        return _deflate().compressobj(level=level, wbits=GZIP_WBITS)
    if kind == "zstd":
        return _zstd().ZstdCompressor(level=level)
    raise UsageError(f"unknown compression {kind!r}", hint="Use gzip, zstd, zip or none.")


def _decompressor(kind: str) -> Callable[[], Any]:
    if kind == "gzip":
        return lambda: _deflate().decompressobj(wbits=GZIP_WBITS)
    if kind == "zstd":
        return lambda: _zstd().ZstdDecompressor()
    raise Corrupt(f"unknown encoding {kind!r} in a manifest", hint="A newer Backstay may know it.")


def _codec_errors(kind: str) -> tuple[type[Exception], ...]:
    return (_zstd().ZstdError,) if kind == "zstd" else (_deflate().error,)


def _deflate() -> ModuleType:
    """ISA-L's drop-in for zlib, or zlib where there is no wheel of it."""
    try:
        return import_module("isal.isal_zlib")
    except ImportError:
        return zlib


def _zstd() -> ModuleType:
    """``compression.zstd`` of Python 3.14, or its backport."""
    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")

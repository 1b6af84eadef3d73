"""A stream of chunks for libraries that want a file to read from."""

from collections.abc import Iterable


class ChunkFile:
    """A file-like object over an iterator of chunks; an error that the iterator raised is remembered, and raised again
    by every read after it: to who passed over it, the stream must not look as if it had come to its end."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = b""
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes, often less; nothing at the end."""
        if self.error is not None:
            raise self.error
        try:
            while not self._held:
                self._held = next(self._chunks)
        except StopIteration:
            return b""
        except BaseException as error:
            self.error = error
            raise
        size = len(self._held) if size < 0 else size
        data, self._held = self._held[:size], self._held[size:]
        return data

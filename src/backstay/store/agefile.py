"""age encryption (age-encryption.org/v1) as generators over chunks.

The library pulls from a reader and pushes to a writer, so each direction runs in a thread of its own with a short
queue behind it. Any holder of the identity opens the files with the stock ``age -d -i key.txt``.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from backstay.core.errors import CannotDecrypt, ConfigError, Corrupt
from backstay.store.chunkfile import ChunkFile

QUEUE_BLOCKS = 64  # of at most 64 KiB each, the payload chunk of the age format


def parse_recipient(text: str) -> Any:
    """An age (``age1...``) or ssh (``ssh-ed25519``, ``ssh-rsa``) public key. Raises ``ConfigError``."""
    import pyrage

    kind = pyrage.ssh.Recipient if text.startswith("ssh-") else pyrage.x25519.Recipient
    try:
        return kind.from_str(text.strip())
    except pyrage.RecipientError as error:
        raise ConfigError(
            f"encryption.recipients: {text[:20]!r}... is not a public key that age knows: {error}",
            hint="Use the line `age-keygen` prints as `Public key`, or an ssh-ed25519 or ssh-rsa public key.",
        ) from error


def parse_identities(text: str) -> list[Any]:
    """The identities in a key file's text, as ``age-keygen`` or ``ssh-keygen`` write it. Raises ``ConfigError``."""
    import pyrage

    try:
        if "-----BEGIN" in text:
            return [pyrage.ssh.Identity.from_buffer(text.encode())]
        lines = (line.strip() for line in text.splitlines())
        return [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except pyrage.IdentityError as error:
        raise ConfigError(
            f"the age identity cannot be read: {error}",
            hint="Give the file that `age-keygen` wrote (a line beginning AGE-SECRET-KEY-1), or an ssh private key.",
        ) from error


def encrypt(chunks: Iterable[bytes], recipients: Sequence[str]) -> Iterator[bytes]:
    """Encrypt to every recipient. Raises ``ConfigError`` for a bad recipient, and whatever ``chunks`` raises."""
    import pyrage

    parsed = [parse_recipient(text) for text in recipients]
    return _threaded(chunks, lambda reader, writer: pyrage.encrypt_io(reader, writer, parsed))


def decrypt(chunks: Iterable[bytes], identities: Sequence[str], key: str) -> Iterator[bytes]:
    """Decrypt with the first identity that fits. ``key`` is for messages.

    Raises ``CannotDecrypt`` when none does, ``Corrupt`` when the ciphertext was changed or cut.
    """
    import pyrage

    if not identities:
        raise CannotDecrypt(
            f"{key} is encrypted and no identity is at hand",
            hint="Set encryption.identity in backstay.yaml to file:/path or cmd:..., or give --identity file:/path.",
        )
    parsed = [identity for text in identities for identity in parse_identities(text)]
    try:
        yield from _threaded(chunks, lambda reader, writer: pyrage.decrypt_io(reader, writer, parsed))
    except (pyrage.DecryptError, OSError) as error:  # the library reports a truncated file as OSError
        if "No matching keys" in str(error):
            raise CannotDecrypt(
                f"{key} is encrypted to other keys than the identity given",
                hint="Find the identity whose public key was in encryption.recipients when the backup was made.",
            ) from error
        raise Corrupt(
            f"{key} cannot be decrypted: {error}",
            hint="The object was changed or cut after the backup. Nothing of it is used. Try an older backup.",
        ) from error


class _Writer:
    """A file-like object that hands blocks to a bounded queue, until the other side has gone."""

    def __init__(self) -> None:
        self.blocks: queue.Queue[bytes | None] = queue.Queue(QUEUE_BLOCKS)
        self.gone = threading.Event()

    def write(self, data: bytes) -> int:
        self._put(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def end(self) -> None:
        self._put(None)

    def _put(self, block: bytes | None) -> None:
        while not self.gone.is_set():
            try:
                self.blocks.put(block, timeout=0.5)
                return
            except queue.Full:
                continue
        if block is not None:
            raise BrokenPipeError("the reader has gone")


def _threaded(chunks: Iterable[bytes], work: Callable[[ChunkFile, _Writer], None]) -> Iterator[bytes]:
    """Run a pull-and-push library call in a thread and yield what it writes; its error comes out of the iterator."""
    reader, writer = ChunkFile(chunks), _Writer()
    failure: list[BaseException] = []

    def run() -> None:
        try:
            work(reader, writer)
        except BaseException as error:  # noqa: BLE001 - carried over to the consuming thread below
            failure.append(error)
        finally:
            writer.end()

    thread = threading.Thread(target=run, name="age", daemon=True)
    thread.start()
    try:
        while (block := writer.blocks.get()) is not None:
            yield block
    finally:
        writer.gone.set()
        thread.join()
    if reader.error is not None:
        raise reader.error
    if failure:
        raise failure[0]

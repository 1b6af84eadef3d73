"""One object on its way into S3: a single request when it is small, a multipart upload with parallel parts when not.

Nothing becomes visible before the last request, which also carries the condition. Limits of S3: at most 10,000
parts, each but the last of at least 5 MiB (S3 User Guide, "Amazon S3 multipart upload limits").
"""

import base64
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

from backstay.core.errors import AlreadyExists, BackstayError, NotFound, StoreError, Unavailable

MIB = 1024 * 1024
MAX_PARTS = 10_000
THREADS = 4
IN_FLIGHT_BYTES = 32 * MIB  # being sent, by all uploads of a store; each fills one more part meanwhile
MARK = "backstay-write"  # user metadata that names the put an object came from

Talk = Callable[[str], AbstractContextManager[None]]


class Sent(NamedTuple):
    """What the last request answered, and how many bytes went before it."""

    answer: Mapping[str, Any]
    size_bytes: int


def part_size(number: int) -> int:
    """The bytes of part ``number``: small at first, so that memory stays small; larger later, so that 200 GB fit."""
    if number <= 2000:
        return 8 * MIB
    return 16 * MIB if number <= 6000 else 32 * MIB


def split(chunks: Iterable[bytes], size_of: Callable[[int], int] = part_size) -> Iterator[tuple[bytearray, bool]]:
    """``chunks`` as parts, each with whether it is the last; at least one part, which may be empty."""
    part, number = bytearray(), 1
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            room = size_of(number) - len(part)
            if not room:
                yield part, False
                part, number = bytearray(), number + 1
                continue
            part += rest[:room]
            rest = rest[room:]
    yield part, True


class Budget:
    """Bytes that may be in memory at once. Something larger than all of it may be there alone."""

    def __init__(self, total_bytes: int = IN_FLIGHT_BYTES) -> None:
        self._total = total_bytes
        self._used = 0
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        """Wait until there is room."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + size <= self._total)
            self._used += size

    def give_back(self, size: int) -> None:
        """They are no longer there."""
        with self._changed:
            self._used -= size
            self._changed.notify_all()


class Upload:
    """One put, used once. ``talk(verb)`` turns the client library's errors into those of ``core.errors``.

    ``attributes`` (for at least so many bytes) go with the request that begins the object, ``condition`` with the
    one that makes it visible. ``check`` looks whether the condition holds before a multipart upload is completed,
    since that request is where servers are weak: moto ignores its condition, and SeaweedFS 4.48 now and then lets two
    of several simultaneous ones through. What must have one writer has to be small (docs/decisions/0004).
    ``mark`` is unique to this put; it tells an object stored by a request whose answer was lost from a rival's.
    """

    def __init__(
        self,
        client: Any,  # an S3 client; its stubs do not know that it takes a bytearray as a body
        talk: Talk,
        where: Mapping[str, str],
        *,
        mark: str,
        attributes: Callable[[int], Mapping[str, Any]],
        condition: Mapping[str, str],
        check: Callable[[], None],
        budget: Budget,
        digest: bool = False,
    ) -> None:
        self._client = client
        self._talk = talk
        self._where: dict[str, Any] = dict(where)
        self._mark = mark
        self._attributes = attributes
        self._condition = dict(condition)
        self._check = check
        self._budget = budget
        self._digest = digest
        self._upload_id = ""
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="part")
        self._running: dict[Future[str], int] = {}
        self._etags: dict[int, str] = {}

    def run(self, chunks: Iterable[bytes]) -> Sent:
        """Send everything. On any error, also one of ``chunks``, the unfinished upload is removed."""
        size = 0
        try:
            for number, (part, last) in enumerate(split(chunks), 1):
                size += len(part)
                if last and number == 1:
                    return Sent(self._commit(partial(self._put_whole, part)), size)
                self._submit(number, part)
            self._collect(list(self._running))
            self._check()
            return Sent(self._commit(self._complete), size)
        except BaseException as error:
            self._abort(error)
            raise
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _put_whole(self, body: bytearray) -> Mapping[str, Any]:
        extra = {**self._begin(body), **self._condition, **self._checksum(body)}
        answer: Mapping[str, Any] = self._client.put_object(**self._where, **extra, Body=body)
        return answer

    def _begin(self, first: bytearray) -> dict[str, Any]:
        attributes = self._attributes(len(first))
        return {**attributes, "Metadata": {**attributes.get("Metadata", {}), MARK: self._mark}}

    def _submit(self, number: int, part: bytearray) -> None:
        """Hand a part to a thread, once there is room for it."""
        if number > MAX_PARTS:
            raise StoreError(
                f"{self._where['Key']} is larger than one S3 object can be when its size is not known before",
                hint="Nothing was stored. Write it in several artifacts: for PostgreSQL, format: directory.",
            )
        if not self._upload_id:
            with self._talk("write"):
                begun = self._client.create_multipart_upload(**self._where, **self._begin(part))
            self._upload_id = begun["UploadId"]
        while len(self._running) >= THREADS:
            done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            self._collect(done)
        self._budget.take(len(part))
        try:
            future = self._pool.submit(self._send_part, number, part)
        except BaseException:
            self._budget.give_back(len(part))
            raise
        future.add_done_callback(partial(self._sent, len(part)))
        self._running[future] = number

    def _sent(self, size: int, _future: "Future[str]") -> None:
        self._budget.give_back(size)

    def _send_part(self, number: int, part: bytearray) -> str:
        with self._talk("write"):
            answer = self._client.upload_part(
                **self._where,
                UploadId=self._upload_id,
                PartNumber=number,
                Body=part,
                **self._checksum(part),
            )
        return str(answer["ETag"])

    def _collect(self, futures: Iterable[Future[str]]) -> None:
        for future in futures:
            number = self._running[future]
            self._etags[number] = future.result()
            del self._running[future]

    def _complete(self) -> Mapping[str, Any]:
        parts = [{"PartNumber": number, "ETag": self._etags[number]} for number in sorted(self._etags)]
        answer: Mapping[str, Any] = self._client.complete_multipart_upload(
            **self._where, UploadId=self._upload_id, MultipartUpload={"Parts": parts}, **self._condition
        )
        return answer

    def _commit(self, send: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Send the last request; when it may have been obeyed although it seems to have failed, look."""
        try:
            with self._talk("write"):
                return send()
        except (AlreadyExists, Unavailable) as error:
            repeated = error.context.get("attempts", 1) > 1
            if isinstance(error, AlreadyExists) and not repeated:
                raise
            found = self._look(error)
            if found is None:
                raise
            return found

    def _look(self, error: BackstayError) -> Mapping[str, Any] | None:
        """The object, if this put stored it; ``error`` learns when that cannot be told."""
        try:
            with self._talk("look up"):
                found = self._client.head_object(**self._where)
        except NotFound:
            return None
        except StoreError:
            error.hint = f"{error.hint} Whether the object was stored is not known.".strip()
            return None
        return found if found.get("Metadata", {}).get(MARK) == self._mark else None

    def _abort(self, error: BaseException) -> None:
        """Remove the parts. They are invisible, but cost money; if that fails too, ``error`` says so."""
        self._pool.shutdown(cancel_futures=True)  # a part that arrives after the abort would stay
        if not self._upload_id:
            return
        try:
            with self._talk("abort the upload of"):
                self._client.abort_multipart_upload(**self._where, UploadId=self._upload_id)
        except StoreError as failure:
            if failure.context.get("server_code") == "NoSuchUpload":
                return
            remains = f"An unfinished upload remains in the store until it is pruned ({failure.message})."
            if isinstance(error, BackstayError):
                error.hint = f"{error.hint} {remains}".strip()
            else:
                error.add_note(remains)

    def _checksum(self, body: bytearray) -> dict[str, str]:
        """Content-MD5, which S3 asks of every request that stores a locked object."""
        if not self._digest:
            return {}
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        return {"ContentMD5": base64.b64encode(digest).decode()}

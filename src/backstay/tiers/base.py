"""What a tier is. It never sees a key, a bucket, a retention rule or a clock; a job never sees pg_dump."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from backstay.core.model import (
    Artifact,
    Backup,
    Finding,
    Level,
    Outcome,
    Plan,
    Progress,
    Target,
    TierKind,
)


@dataclass(frozen=True)
class File:
    """One artifact to be written. ``role`` names it in the manifest (``dump``); ``suffix`` is the end of its file name
    before compression and encryption add theirs (``.sql``), ``part`` comes between the two (``.part00001``), so that
    parts join to a compressed file.

    ``name`` is for artifacts that other programs know by a name of their own: it takes the place of all that, and
    ``{unix}`` in it that of the second the run began, ``{run}`` of the same as ``20260211154344``. ``metadata`` is
    for those programs too (``Store.put``).
    """

    role: str
    suffix: str = ""
    part: str = ""
    compressed: bool = True
    encrypted: bool = True  # where the configuration has recipients; False only for what holds no data
    name: str = ""
    apart: str = ""  # in a folder of its own, called like the target's with this word behind: what must be kept apart
    metadata: Mapping[str, str] = field(default_factory=dict)


class Sink(Protocol):
    """Where a tier writes what it captures. The job behind it chooses keys, compression and encryption."""

    @property
    def started_at(self) -> datetime:
        """When the run began, as its stamp says it: to the second."""

    def reserve(self, files: Iterable[File]) -> None:
        """Say what will be written, in one request; ``write`` says it for a file that was not said."""

    def write(self, file: File, chunks: Iterable[bytes]) -> Artifact:
        """Store a stream of plain bytes as one artifact. Safe from several threads.

        An error raised by ``chunks`` leaves nothing behind and comes out of here.
        """

    def adopt(self, file: File, read: Callable[[Iterator[bytes]], None]) -> Artifact | None:
        """Take in what another program wrote for this run at the place of ``file``; None where there is nothing.

        It is read once, and ``read`` is given its plain bytes. Only for what the run itself had written: a run that
        fails removes it.
        """


class Source(Protocol):
    """Where a tier reads a backup from: its manifest, and the plain bytes again, each one checked."""

    @property
    def backup(self) -> Backup:
        """The backup being read."""

    def open(self, role: str) -> AbstractContextManager[Iterator[bytes]]:
        """The plain bytes of one artifact, decrypted and decompressed as they come. Safe from several threads.

        Raises ``Corrupt`` at the latest when the last chunk has been taken and size or sha256 differ from the
        manifest, and as soon as there are more bytes than the manifest says; ``CannotDecrypt`` at the start.
        """


class Journal(Protocol):
    """The steps of a restore as they finish, kept where a later run finds them."""

    @property
    def done(self) -> Mapping[str, Mapping[str, Any]]:
        """Steps finished by this run or by the one it resumes, with the facts recorded for each."""

    def record(self, step: str, **facts: Any) -> None:
        """``step`` is finished. Durable when this returns."""


class ScratchJournal:
    """A journal of a restore that nobody will go on with."""

    def __init__(self) -> None:
        self.done: dict[str, Mapping[str, Any]] = {}

    def record(self, step: str, **facts: Any) -> None:
        """See ``Journal.record``."""
        self.done[step] = facts


@dataclass(frozen=True)
class Captured:
    """What a tier says of a backup it has just written; becomes the manifest.

    In ``restore_by_hand`` the text ``{role}`` stands for a command that prints the plain bytes of that artifact, once
    it was fetched; the job puts it there, and the fetching before it. ``guide`` asks for these steps as a file, beside
    artifacts that are a folder of their own. With ``read_back`` the job reads all of it from the store again, by the
    tier's own ``verify``, and commits nothing that does not hold. ``last`` is written after that: a file by which other
    programs take the rest for whole.
    """

    point_in_time: datetime | None  # None where the source has no clock: when the run began
    tools: Mapping[str, str]
    source: Mapping[str, Any]
    contents: Mapping[str, Any]
    artifacts: tuple[Artifact, ...]
    omissions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    restore_by_hand: tuple[str, ...] = ()
    guide: File | None = None
    read_back: bool = False
    last: tuple[File, bytes] | None = None


@dataclass(frozen=True)
class RestoreRequest:
    """What a user asks of a restore. ``stamp`` names everything the restore creates; ``now`` is for ages in the plan.

    ``options`` holds what only one tier understands, as plain JSON data (postgres: to, in_place, tables, schemas,
    server, apps). ``source`` opens the backup, for a tier whose plan depends on more of it than the manifest says.
    """

    stamp: str
    now: datetime
    scratch: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    source: Callable[[], Source] | None = None


@dataclass(frozen=True)
class Leftover:
    """Something a restore put aside. ``kind`` is ``before`` (the live data it replaced), ``restore`` (unfinished),
    ``undone`` (restored, then taken back), or a word of the tier's own."""

    name: str
    kind: str
    size_bytes: int


class Tier(Protocol):
    """One kind of thing that can be protected."""

    kind: TierKind

    def discover(self) -> Iterator[Target]:
        """The targets that the configuration names."""

    def preview(self, target: Target) -> Mapping[str, Any]:
        """What a backup would find (version, sizes, counts), by reading only; raises what it would raise at its start.

        The key ``title`` is the sentence to show for it; ``size_bytes`` and ``rows_estimated`` are there when known.
        """

    def backup(self, target: Target, sink: Sink, progress: Progress) -> Captured:
        """Capture one target through ``sink``. Raises rather than returning less than everything, unless it says so
        in ``omissions``."""

    def verify(self, backup: Backup, source: Source, depth: Level, progress: Progress) -> Iterator[Finding]:
        """Check what is in the store against the manifest, to ``depth`` (STORED or READABLE)."""

    def plan_restore(self, backup: Backup, request: RestoreRequest) -> Plan:
        """What a restore would do, found out by reading only."""

    def restore(self, plan: Plan, source: Source, journal: Journal, progress: Progress) -> Outcome:
        """Do what ``plan`` says; steps in ``journal.done`` are not repeated where that is safe.

        A failure before live data is touched leaves it as it was and removes what was made beside it.
        """

    def undo(self, plan: Plan, journal: Journal, progress: Progress) -> Outcome:
        """Put things back as they were before ``restore``, as far as ``journal.done`` says it came."""

    def plan_drill(self, backup: Backup, request: RestoreRequest) -> Plan:
        """What a drill would do, found out by reading only; raises what says that it cannot be done."""

    def drill(self, plan: Plan, source: Source, progress: Progress) -> Outcome:
        """Restore into scratch by the same path as ``restore``, check what came back, remove it again.

        The outcome is not ok when the backup did not come back as it should: ``findings`` say in what. Raises when
        the drill itself could not be done: that says nothing of the backup.
        """

    def leftovers(self, target: Target) -> Iterator[Leftover]:
        """What restores have set aside or left behind, with the space it holds."""

    def remove_leftover(self, target: Target, name: str) -> None:
        """Remove one of them, for good."""

"""What both ways of a drill of objects share: the archive at hand, and whose fault an error is."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from backstay.core.errors import (
    ArchiveDamaged,
    BackstayError,
    ClusterError,
    Corrupt,
    DrillFailed,
    Interrupted,
    NotFound,
    RestoreError,
    ToolError,
)
from backstay.core.model import Finding, Plan, Progress, Severity
from backstay.tiers.base import Source
from backstay.tiers.drilling import Drilling
from backstay.tiers.objects.archive.spooled import Spooled, spooled
from backstay.tiers.objects.restore.run import ROLE
from backstay.tiers.objects.settings import Schedule, World

OF_THE_BACKUP = (ArchiveDamaged, Corrupt, NotFound)  # errors that speak of the backup
OF_THE_PLACE = (ClusterError, RestoreError, ToolError, OSError)  # and of where it was put
NOT_DRILLED = "objects.not_drilled"


class ObjectsDrill(Drilling):
    """One run."""

    def __init__(
        self,
        schedule: Schedule,
        world: World,
        plan: Plan,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(plan, world.scratch_root, progress, clock)
        self.schedule, self.world = schedule, world

    def what_is_left(self) -> str:
        """A sentence for a drill that was cut short."""
        return "Nothing live was touched, and nothing is left."

    @contextmanager
    def judging(self, backup_id: str) -> Iterator[None]:
        """Errors of the backup become findings; all others ``DrillFailed``, or ``Interrupted``."""
        try:
            yield
        except (Interrupted, KeyboardInterrupt):
            raise Interrupted("the drill was interrupted", hint=self.what_is_left()) from None
        except OF_THE_BACKUP as error:
            self.findings.append(Finding(Severity.ERROR, error.message, error.code))
        except OF_THE_PLACE as error:
            # What a restore says of a cluster that went away is for those who can resume it.
            said = error.__cause__ if isinstance(error.__cause__, ClusterError) else error
            why = said.message if isinstance(said, BackstayError) else said.strerror or str(said)
            more = said.hint if isinstance(said, BackstayError) else ""
            raise DrillFailed(
                f"{backup_id} could not be drilled: {why}",
                hint=f"{more} That says nothing of the backup. {self.what_is_left()}".strip(),
            ) from error

    @contextmanager
    def spooled(self, source: Source) -> Iterator[Spooled]:
        """To compare with; the restore fetches for itself, as always."""
        self.progress.phase("reading")
        self.world.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        with source.open(ROLE) as chunks, spooled(chunks, self.world.spool) as archive:
            yield archive

    def not_drilled(self, what: Iterator[str]) -> None:
        """Tell of what neither was nor could be drilled; nothing where there is none."""
        if said := "; ".join(what):
            self.findings.append(Finding(Severity.WARNING, f"not drilled: {said}", NOT_DRILLED))


def opening(archive: Spooled) -> Callable[[], AbstractContextManager[Spooled]]:
    """An archive that is open already, for those who open it themselves."""
    return lambda: nullcontext(archive)

"""The steps of a restore, kept twice: in the journal of the job, and in a file beside the snapshot on this machine.

The journal may be in a bucket that the stopped cluster itself serves. Losing it then must not end a restore half-way
with the control plane down, so from the stop on the file is what counts, and the loss is told at the end.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backstay.core.errors import RestoreError, StoreError
from backstay.core.model import Finding, Severity
from backstay.tiers.base import Journal
from backstay.tiers.etcd.restore.services import sync_folder

FILE = "steps.json"
STOP = "stop"  # catalog.journal: what comes after it changes live data


class StepsFile:
    """A ``Journal`` in one file: all there is where a machine joins again without a store."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done = _read(path)

    @property
    def done(self) -> Mapping[str, Mapping[str, Any]]:
        """Steps that are finished, with their facts."""
        return self._done

    def record(self, step: str, **facts: Any) -> None:
        """``step`` is finished. Durable when this returns."""
        self._done = {**self._done, step: facts}
        _write(self._path, json.dumps(self._done, indent=1))


@dataclass
class Ledger:
    """``journal`` and the file of ``folder``, which is there only once the folder is."""

    journal: Journal
    folder: Path
    findings: list[Finding] = field(default_factory=list)

    @property
    def done(self) -> Mapping[str, Mapping[str, Any]]:
        """What either of them has; the file is never behind while its folder exists."""
        return {**self.journal.done, **_read(self.folder / FILE)}

    def facts(self, step: str) -> Mapping[str, Any]:
        """What was recorded for a step; nothing when it is not done."""
        return self.done.get(step, {})

    def record(self, step: str, **facts: Any) -> None:
        """``step`` is finished. Raises what the journal raises, but once the stop is done only ``RestoreError``."""
        stopped = STOP in self.done or step == STOP
        if self.folder.is_dir():
            StepsFile(self.folder / FILE).record(step, **facts)
        try:
            self.journal.record(step, **facts)
        except StoreError as error:
            if not stopped:
                raise
            words = f"the journal could not be written after `{step}`: {error.message}; the machine's own file has it"
            self.findings.append(Finding(Severity.WARNING, words, "etcd.journal"))


def _read(path: Path) -> dict[str, Mapping[str, Any]]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise RestoreError(
            f"{path} is not what a restore writes: {error}",
            hint="Look at it; when it is of no use, move it away and run again. Nothing was changed by this run.",
        ) from error
    return dict(found)


def _write(path: Path, text: str) -> None:
    """Whole or not at all, also when the power goes."""
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)

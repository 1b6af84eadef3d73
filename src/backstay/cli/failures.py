"""Several targets in one run: each failure told as it happens, and one exit code for all of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from backstay.cli.output import Output
from backstay.core.errors import (
    BackstayError,
    Incomplete,
    Interrupted,
    LeaseHeld,
    ObjectiveBreached,
    VerificationFailed,
)


@dataclass
class Tally:
    """What came of each target asked for; ``late`` are those that took longer than their objective."""

    output: Output
    asked: int
    failures: list[BackstayError] = field(default_factory=list)
    partial: int = 0
    late: int = 0

    def failed(self, error: BackstayError) -> None:
        """Tell it now, and remember it. Raises it where it is the end of the whole command, and not of one target."""
        if isinstance(error, Interrupted):
            raise error
        self.failures.append(error)
        self.output.error(error)

    @property
    def exit_code(self) -> int:
        """0: all done. 14: all done, some slower than promised. 3: not all of it. The error's own code where one
        target was asked for. 1: all failed.

        A verification that failed is 13 and other runs at work are 11 also where several were asked for, unless other
        things went wrong too.
        """
        if not self.failures:
            return Incomplete.exit_code if self.partial else ObjectiveBreached.exit_code if self.late else 0
        if self.asked == 1:
            return self.failures[0].exit_code
        if all(isinstance(error, VerificationFailed) for error in self.failures):
            return VerificationFailed.exit_code
        if len(self.failures) < self.asked:
            return Incomplete.exit_code
        alone = all(isinstance(error, LeaseHeld) for error in self.failures)
        return LeaseHeld.exit_code if alone else BackstayError.exit_code

    def summary(self, **more: Any) -> int:
        """Tell the last line of a stream of JSON, and return the exit code."""
        failed = len(self.failures)
        done = self.asked - failed
        self.output.line("summary", asked=self.asked, done=done, failed=failed, **more, exit_code=self.exit_code)
        return self.exit_code


def error_from(fields: Mapping[str, Any]) -> BackstayError:
    """The error that ``as_json`` wrote, of the class that has its code."""
    kinds = {kind.code: kind for kind in _kinds(BackstayError)}
    kind = kinds.get(str(fields.get("code")), BackstayError)
    return kind(str(fields.get("message", "")), hint=str(fields.get("hint", "")), **dict(fields.get("context") or {}))


def _kinds(kind: type[BackstayError]) -> Iterator[type[BackstayError]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from _kinds(inner)

"""What a benchmark found: a table for people, and the same figures for ``--json``."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Ratio:
    """One line of the last table. ``goal`` is what Backstay holds itself to on two cores."""

    about: str
    value: str
    goal: str = ""


@dataclass
class Result:
    """One benchmark. ``notes`` are the sentences under its table, ``ratios`` what it adds to the last table."""

    name: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    ratios: list[Ratio] = field(default_factory=list)

    def text(self) -> str:
        """Title, table and notes."""
        return "\n".join(
            [f"== {self.title}", *_table([self.columns, *self.rows]), *(f"  {note}" for note in self.notes)]
        )


def summary(results: Sequence[Result], cores: int) -> str:
    """All ratios in one table."""
    rows = [(ratio.about, ratio.value, ratio.goal) for result in results for ratio in result.ratios]
    return (
        "\n".join([f"== Ratios on {cores} cores", *_table([("", "measured", "goal on 2 cores"), *rows])])
        if rows
        else ""
    )


def _table(lines: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, figures to the right."""
    widths = [max(len(row[column]) for row in lines) for column in range(len(lines[0]))]
    return ["  " + "  ".join(_cells(row, widths)).rstrip() for row in lines]


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]

"""What a benchmark found: a table for people, and the same figures for ``--json``."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Result:
    """One benchmark. ``notes`` are the sentences under its table: the ratios, and what was checked."""

    name: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """Title, table and notes; the first column to the left, figures to the right."""
        lines = [self.columns, *self.rows]
        widths = [max(len(row[column]) for row in lines) for column in range(len(self.columns))]
        table = ["  " + "  ".join(_cells(row, widths)).rstrip() for row in lines]
        return "\n".join([f"== {self.title}", *table, *(f"  {note}" for note in self.notes)])


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]

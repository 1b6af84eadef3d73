"""Tables of text: columns as wide as their cells, nothing cut; on a narrow terminal whole columns are left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backstay.cli.output import Style, clean

GAP = "   "


@dataclass(frozen=True)
class Column:
    """``optional`` columns are left out first on a narrow terminal, the highest number before the others."""

    title: str
    right: bool = False
    optional: int = 0


@dataclass(frozen=True)
class Cell:
    """Text, and how it is coloured where there is colour."""

    text: str
    style: Style | None = None


Row = Sequence[Cell | str]
Paint = Callable[[str, Style | None], str]


def table(columns: Sequence[Column], rows: Sequence[Row], paint: Paint, width: int | None = None) -> str:
    """The table, its titles first; ``width`` is that of the terminal, None where there is no end."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [
        max(len(column.title), *(len(row[index].text) for row in cells), 0) for index, column in enumerate(columns)
    ]
    shown = _fitting(columns, widths, width)
    titles = [Cell(column.title, Style.STRONG) for column in columns]
    lines = []
    for row in [titles, *cells]:
        parts = [_padded(row[index], columns[index], widths[index], paint) for index in shown]
        lines.append(GAP.join(parts).rstrip())
    return "\n".join(lines)


def pairs(entries: Sequence[tuple[str, str]], indent: str = "") -> str:
    """Names and what they are, in two columns; further lines of a value stand below its first."""
    wide = max((len(name) for name, _ in entries), default=0)
    return "\n".join(
        f"{indent}{name:<{wide}}{GAP}" + value.replace("\n", f"\n{indent}{' ' * wide}{GAP}") for name, value in entries
    )


def _cell(value: Cell | str) -> Cell:
    """One line, and as wide as it looks to be: names may hold anything."""
    found = value if isinstance(value, Cell) else Cell(value)
    return Cell(clean(" ".join(found.text.splitlines())), found.style)


def _padded(cell: Cell, column: Column, width: int, paint: Paint) -> str:
    space = " " * (width - len(cell.text))
    painted = paint(cell.text, cell.style)
    return space + painted if column.right else painted + space


def _fitting(columns: Sequence[Column], widths: Sequence[int], width: int | None) -> list[int]:
    """The columns that fit: all, or those left when optional ones are taken out one by one."""
    shown = list(range(len(columns)))
    while width is not None and sum(widths[index] + len(GAP) for index in shown) - len(GAP) > width:
        spare = max(shown, key=lambda index: columns[index].optional)
        if not columns[spare].optional:
            break
        shown.remove(spare)
    return shown

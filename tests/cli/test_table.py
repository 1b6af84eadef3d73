"""Tables: as wide as their cells, never cut."""

from backstay.cli.output import Style
from backstay.cli.table import Cell, Column, pairs, table

COLUMNS = (
    Column("ID"),
    Column("SIZE", right=True),
    Column("ROWS", right=True, optional=1),
    Column("STORE", optional=2),
)
ROWS = [("postgres/a@1", "1.1 MB", "10", "main"), ("b", Cell("9 B", Style.GOOD), "1,000", "other")]


def plain(text, style):
    return text


def test_columns_are_aligned():
    assert table(COLUMNS, ROWS, plain) == (
        "ID               SIZE    ROWS   STORE\n"
        "postgres/a@1   1.1 MB      10   main\n"
        "b                 9 B   1,000   other"
    )


def test_colour_does_not_count():
    painted = table(COLUMNS, ROWS, lambda text, style: f"<{text}>" if style is Style.GOOD else text)
    assert painted.splitlines()[2] == "b                 <9 B>   1,000   other"


def test_on_a_narrow_terminal_optional_columns_go_and_nothing_is_cut():
    assert table(COLUMNS, ROWS, plain, 30).splitlines()[0].split() == ["ID", "SIZE", "ROWS"]
    assert table(COLUMNS, ROWS, plain, 5) == "ID               SIZE\npostgres/a@1   1.1 MB\nb                 9 B"


def test_a_name_cannot_break_the_lines():
    assert table((Column("ID"),), [("a\nb\x1b[2J",)], plain) == "ID\na b�[2J"


def test_pairs():
    assert pairs([("a", "1\n2"), ("long", "3")], "  ") == "  a      1\n         2\n  long   3"

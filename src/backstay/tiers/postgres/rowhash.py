"""A hash over all rows of a table that does not depend on their order: the sum, modulo 2^64, of a hash of each row.

The hash is the server's own (``hashtextextended``, 64 bits, not cryptographic: it finds damage, not forgery) of the row
as text. Why there and not from the stream of a dump: docs/decisions/0009.
"""

METHOD = "sum of hashtextextended(row::text COLLATE C, 0) modulo 2^64"
# What changes how a value is written as text, the same at backup and at drill.
SETTINGS = {
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "timezone": "UTC",
    "lc_monetary": "C",
    "search_path": "",
    "row_security": "off",
}


def query(table: str, where: str = "true") -> str:
    """SQL for the sum over some rows of ``table``, which is a name as SQL. A column named like the alias would be taken
    for the row itself; hence a name that no one gives a column."""
    row = '"backstay row"'
    hashed = f'hashtextextended({row}::text COLLATE pg_catalog."C", 0)'
    return f"SELECT coalesce(sum({hashed}), 0) FROM ONLY {table} AS {row} WHERE {where}"  # noqa: S608 - quoted


def as_text(total: int) -> str:
    """A sum as it is kept: 16 hexadecimal digits."""
    return f"{total % 2**64:016x}"

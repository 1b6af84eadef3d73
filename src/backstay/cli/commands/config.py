"""``backstay config show``, ``config schema`` and ``config validate``."""

import json
from typing import Any

from backstay.cli.help import command, group_of
from backstay.cli.output import Style
from backstay.cli.session import Given
from backstay.cli.table import Cell, Column, table
from backstay.core.units import counted

COLUMNS = (Column("KEY"), Column("VALUE"), Column("FROM", optional=1))


def show(*, session: Given) -> int:
    """Show every value as it takes effect, and where it comes from: a line of the file, an environment
    variable, or the default. A secret is shown as the reference that the file has, never read.

    Examples:
      backstay config show
      backstay config show --json

    Exit status: 0; 2 when the configuration is not valid.
    """
    from backstay.config.show import DEFAULT, settings

    loaded = session.load()
    found = settings(loaded)
    if session.output.as_json:
        values = [{"key": one.key, "value": one.value, "from": one.origin} for one in found]
        session.output.document({"path": str(loaded.path), "settings": values})
        return 0
    rows = [
        (one.key, _written(one.value), Cell(one.origin, Style.FAINT if one.origin == DEFAULT else None))
        for one in found
    ]
    session.output.data(f"# {loaded.path}\n" + table(COLUMNS, rows, session.output.paint, session.output.width))
    return 0


def schema(*, session: Given) -> int:
    """Print the JSON Schema of backstay.yaml, for editors to complete and check it.

    Examples:
      backstay config schema > backstay.schema.json

    Exit status: 0.
    """
    from backstay.config.schema import json_schema

    session.output.document(json_schema())
    return 0


def validate(*, session: Given) -> int:
    """Check that the configuration is valid: every fault with its line. Contacts nothing and reads no
    secret; `backstay check` does.

    Examples:
      backstay config validate
      backstay config validate --config backstay.yaml --quiet

    Exit status: 0 valid; 2 not.
    """
    loaded = session.load()
    databases = len(loaded.config.postgres_databases())
    if session.output.as_json:
        session.output.document({"path": str(loaded.path), "valid": True, "databases": databases})
    session.output.result(f"{loaded.path} is valid: {counted(databases, 'database')}")
    return 0


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


app = group_of(
    "config",
    "Look at the configuration: `show` the effective values, print its `schema`, or `validate` it.",
    command(show, usage="config show [OPTIONS]"),
    command(schema, usage="config schema [OPTIONS]"),
    command(validate, usage="config validate [OPTIONS]"),
)

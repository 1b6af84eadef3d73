"""The configuration as it takes effect: every value, and where it comes from.

A secret is shown as the reference that the file has; what a reference leads to is never read here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from backstay.config.load import Loaded, Origin
from backstay.config.models.postgres import Compression, Database, DatabaseOptions
from backstay.config.models.root import merged_option
from backstay.config.problems import Path, dotted
from backstay.config.resolved import ResolvedDatabase

DEFAULT = "default"
DATABASES = ("postgres", "databases")


@dataclass(frozen=True)
class Setting:
    """One effective value, as the file would have it, and its origin.

    ``origin`` is ``line 31``, ``line 27 (postgres.keep)`` for a value taken from elsewhere in the file, with
    ``environment variable NAME`` before it where one was expanded, or ``default``.
    """

    key: str
    value: Any
    origin: str


def settings(loaded: Loaded) -> list[Setting]:
    """Every effective value, in the order of the models. What is not set and has no default is left out."""
    values = loaded.config.model_dump(mode="json", exclude_none=True)
    values.get("postgres", {}).pop("databases", None)
    shown = list(_settings(loaded.origins, values, (), ()))
    for name, database in loaded.config.postgres_databases().items():
        shown += _database_settings(loaded, name, database)
    return shown


def _settings(origins: Mapping[Path, Origin], value: Any, path: Path, source: Path) -> Iterator[Setting]:
    """The settings below ``path``; ``source`` is where in the file they were taken from."""
    if isinstance(value, dict) and (value or not path):
        for key, inner in value.items():
            yield from _settings(origins, inner, (*path, key), (*source, key))
    elif value != {}:
        yield Setting(dotted(path), value, _origin(origins, path, source))


def _origin(origins: Mapping[Path, Origin], path: Path, source: Path) -> str:
    origin = origins.get(source)
    if origin is None:
        return DEFAULT
    line = f"line {origin.line}" + (f" ({dotted(source)})" if source != path else "")
    names = " and ".join(origin.variables)
    return f"environment variable {names}, {line}" if names else line


def _database_settings(loaded: Loaded, name: str, database: ResolvedDatabase) -> Iterator[Setting]:
    path = (*DATABASES, name)
    for key, value in _database_values(loaded, name, database).items():
        yield from _settings(loaded.origins, value, (*path, key), _source(loaded.origins, path, key))


def _database_values(loaded: Loaded, name: str, database: ResolvedDatabase) -> dict[str, Any]:
    """What the file would have to say for this database, were there no defaults; in the order of the models."""
    tier, own = loaded.config.postgres, loaded.config.postgres.databases[name]
    values = {key: merged_option(tier, own, key) for key in DatabaseOptions.model_fields}
    filled_in = ("store", "prefix", "host", "rpo", "rto", "namespace", "database", "schedule", "apps")
    values |= {key: getattr(database, key) for key in filled_in}
    values["compression"] = Compression.model_construct(algorithm=database.compression, level=database.level)
    return Database.model_construct(**values).model_dump(mode="json", exclude_none=True)


def _source(origins: Mapping[Path, Origin], path: Path, key: str) -> Path:
    """Where a database's value was taken from: itself, the tier, or the objectives."""
    candidates: list[Path] = [(*path, key), ("postgres", key), ("slo", key)]
    return next((candidate for candidate in candidates if candidate in origins), candidates[0])

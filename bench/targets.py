"""What ``backstay.yaml`` of the benchmarks backs up: the databases, some of them again with other settings."""

from collections.abc import Mapping

SHOP, SMALL, LEDGER = "shop", "small", "ledger"
SHOP_SQL, SHOP_CONTENT, SMALL_CONTENT = "shop-sql", "shop-content", "small-content"
WORKERS = (1, 2, 4)


def ledger(workers: int) -> str:
    """The ledger with so many workers."""
    return f"{LEDGER}-{workers}"


# Settings by target, as they stand in the file; without `database` it is the one of the target's name.
TARGETS: Mapping[str, str] = {
    SHOP: "",
    SHOP_SQL: f"database: {SHOP}, format: sql",
    SHOP_CONTENT: f"database: {SHOP}, proof: content",
    SMALL: "",
    SMALL_CONTENT: f"database: {SMALL}, proof: content",
    **{ledger(workers): f"database: {LEDGER}, workers: {workers}" for workers in WORKERS},
}
_FILE = """\
cluster: bench
stores:
  main: {{url: "s3://{bucket}", endpoint: "{endpoint}", credentials: "file:{credentials}"}}
postgres:
  host: {host}
  port: {port}
  user: {user}
  password: file:{password_file}
  bin: {bin}
  databases:
{databases}
"""


def configuration(targets: Mapping[str, str], **places: object) -> str:
    """A ``backstay.yaml`` with these targets, backed up daily. ``places`` are the names in braces above."""
    daily = 'schedule: "0 3 * * *"'
    lines = (f"    {name}: {{{', '.join(filter(None, (daily, more)))}}}" for name, more in targets.items())
    return _FILE.format(databases="\n".join(lines), **places)

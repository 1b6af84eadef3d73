"""``backstay init``."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from backstay.cli.help import command
from backstay.cli.session import Given
from backstay.core.errors import ConfigError


def init(
    file: Annotated[Path, Parameter(help="Where to write; ./backstay.yaml unless given.")] = Path("backstay.yaml"),
    /,
    *,
    cluster: Annotated[str, Parameter(metavar="NAME", help="The cluster's name; homelab unless given.")] = "homelab",
    store: Annotated[
        str, Parameter(metavar="URL", help="Where backups go: s3://bucket/folder or file:///path.")
    ] = "s3://my-backups",
    database: Annotated[str, Parameter(metavar="NAME", help="The first database; app unless given.")] = "app",
    session: Given,
) -> int:
    """Write a backstay.yaml to start from: every key there is, with what it is for, and the few that
    matter set. A file that is there is never overwritten.

    Examples:
      backstay init
      backstay init --cluster homelab --store s3://my-backups --database shop
      backstay init /etc/backstay/backstay.yaml

    Exit status: 0 written; 2 the file is there already, or a value is not valid.
    """
    from backstay.config.load import parse
    from backstay.config.sample import sample

    text = sample(cluster=cluster, store_url=store, database=database)
    parse(text, file, {})
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        raise ConfigError(
            f"{file} is there already", hint="It was left as it is. Give another name: backstay init other.yaml."
        ) from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}", hint="Nothing was written.") from error
    if session.output.as_json:
        session.output.document({"path": str(file)})
    session.output.result(f"wrote {file}: set the store and the databases, then `backstay check`")
    return 0


app = command(init, usage="init [FILE] [OPTIONS]")

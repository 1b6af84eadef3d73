"""Looking at files of a server, most of which are closed to all but root."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backstay.core.errors import SourceError

CLOSED = "closed"  # context["reason"] of the error for what only root may look at


@contextmanager
def looking(path: Path) -> Iterator[None]:
    """Files of a server, below ``path``, are looked at in the block: what the system says against that comes out as
    ``SourceError`` (Path.is_file and the like raise where a folder above may not be entered)."""
    try:
        yield
    except PermissionError as error:
        found = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
        barrier = next((place for place in (found, *found.parents) if os.path.lexists(place)), found)
        raise SourceError(
            f"{barrier} is closed to this account",
            hint="Only root may look into the data of etcd, so Backstay must run as root for this tier. "
            "Nothing was changed.",
            reason=CLOSED,
        ) from error
    except OSError as error:
        raise SourceError(
            f"{error.filename or path} cannot be looked at: {error.strerror}",
            hint="See the system's log for what its disk says. Nothing was changed.",
        ) from error


def entries(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing where there is none. Raises ``OSError`` for one that may not be listed,
    which glob takes for an empty one."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []

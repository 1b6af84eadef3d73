"""A folder for the length of a block, for programs that want files; what a killed process left goes with the next."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backstay.cluster.processes import alive


@contextmanager
def temp_folder(word: str, root: Path | None = None) -> Iterator[Path]:
    """A new folder that only this account may enter, gone at the end; below ``root``, or where the system has them."""
    root = root or Path(tempfile.gettempdir())
    start = f"backstay-{word}-"
    _sweep(root, start)
    with tempfile.TemporaryDirectory(prefix=f"{start}{os.getpid()}-", dir=root) as folder:
        yield Path(folder)


def _sweep(root: Path, start: str) -> None:
    """Remove folders of this account whose process is no more."""
    for folder in root.glob(f"{start}*-*"):
        pid = folder.name.removeprefix(start).partition("-")[0]
        try:
            ours = folder.lstat().st_uid == os.geteuid() and not folder.is_symlink()
        except FileNotFoundError:
            continue
        if ours and pid.isdigit() and int(pid) != os.getpid() and not alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)

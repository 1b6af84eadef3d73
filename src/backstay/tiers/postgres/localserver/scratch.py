"""A PostgreSQL server for a drill: made when it is wanted, fast because nobody keeps it, gone afterwards.

Each has a folder of its own below a root that the caller chooses, guarded as ``cluster.scratch`` says.
"""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from backstay.cluster.scratch import guarded, not_made
from backstay.core.errors import ToolError, ToolMissing
from backstay.core.model import EMPTY
from backstay.tiers.postgres.localserver.programs import server_bin
from backstay.tiers.postgres.localserver.server import THROWAWAY, PostgresServer

SCRATCH = {
    **THROWAWAY,
    "wal_level": "minimal",  # what is copied into a table of the same transaction is not logged at all
    "max_wal_senders": "0",  # minimal wants it so
    "archive_mode": "off",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "30min",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "128MB",
    "max_locks_per_transaction": "256",  # a restore may lock every table of a database at once
    "dynamic_shared_memory_type": "mmap",  # in the folder: /dev/shm is small in containers, and would outlive a SIGKILL
    "max_logical_replication_workers": "0",  # a restored subscription must never reach its publisher
    "timescaledb.telemetry_level": "off",  # unknown to a server without it, and then without effect
}


@contextmanager
def scratch_server(
    major: int, *, bin_folder: str | None, root: Path, label: str, options: Mapping[str, str] = EMPTY
) -> Iterator[PostgresServer]:
    """A new, running server of PostgreSQL ``major`` in a new folder below ``root``; stopped and removed at the end of
    the block, however that ends, and also when this process is killed.

    Its programs come from ``bin_folder`` where that has them, else from a wheel or from where Debian puts them.
    ``label`` begins the folder's name; ``options`` are further settings of the server. Raises ``ToolMissing`` without
    programs of that very version, ``ToolError`` when the server does not start (nothing is left then) or cannot be
    removed (it says where it is). An error of the block goes before that one, which becomes a note on it.
    """
    bin_dir = server_bin(major, bin_folder)
    with guarded(root.absolute(), label) as folder:
        server = PostgresServer(bin_dir, folder, options={**SCRATCH, **options})
        try:
            server.start()
        except ToolMissing:
            raise
        except (ToolError, OSError, subprocess.SubprocessError) as error:
            raise not_made(f"scratch server of PostgreSQL {server.version}", root, error) from error
        try:
            yield server
        finally:
            with suppress(ToolError, OSError):  # the guard has stronger means, and comes next
                server.stop("immediate")

"""Write the frozen backups of format version 1. Run once for a format; what it wrote is never written again.

    python -m tests.formats.make_v1 FOLDER [sql|directory]

It needs the PostgreSQL 18 wheel. The identity that opens the encrypted backup is for these tests alone.
"""

import json
import sys
import tempfile
from pathlib import Path

import pyrage

from backstay.demo import data
from backstay.demo.compare import Fingerprint, fingerprint
from backstay.store.pipeline import Encoding
from backstay.tiers.postgres.directory import segments
from backstay.tiers.postgres.localserver.programs import find_bin
from backstay.tiers.postgres.localserver.server import THROWAWAY, PostgresServer
from tests.fixtures.world import database_on, directory_world

LARGE_OBJECTS = "SELECT lo_from_bytea(0, 'small'), lo_from_bytea(0, ''), lo_from_bytea(0, repeat('x', 40000)::bytea)"


def main(folder: Path, form: str = "sql") -> None:
    """One backup of ``wiki`` for each way artifacts can be stored, and what must come back."""
    folder.mkdir(parents=True)
    identity = pyrage.x25519.Identity.generate()
    (folder / "identity.txt").write_text(f"{identity}\n")
    ways = [Encoding("gzip"), Encoding("zstd", 3), Encoding("gzip", 1, (str(identity.to_public()),)), Encoding("none")]
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)
        bin_dir = find_bin(18)
        assert bin_dir is not None
        with PostgresServer(bin_dir, Path(scratch) / "server", options=THROWAWAY) as server:
            data.build(server, "wiki")
            if form == "directory":
                segments.SMALLEST_BYTES = 1  # so that tables are cut
                with server.connect("wiki") as session:
                    session.execute(LARGE_OBJECTS)
            with server.connect("wiki") as session:
                found = fingerprint(session)
            (folder / "expected.json").write_text(json.dumps(rows(found), indent=1) + "\n")
            world = directory_world(folder, database_on(server, "wiki", format=form, workers=2))
            for encoding in ways:
                world.encoding = encoding
                print(world.backup("wiki").id)


def rows(found: Fingerprint) -> dict[str, list[int | str]]:
    """Rows and content hash by table."""
    return {name: [content.rows, content.content] for name, content in found.tables.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])

"""How to restore a directory with stock programs alone, for the manifest and for ``RESTORE.md``."""

from collections.abc import Sequence
from shlex import quote

from backstay.core.model import Artifact


def steps(artifacts: Sequence[Artifact], *, cuts: bool) -> tuple[str, ...]:
    """After fetching, to loading, in an order that only needs the steps before.

    DATABASE stands for the name, ``{globals}`` for what prints the roles.
    """
    encodings = {encoding for artifact in artifacts for encoding in artifact.encoding}
    blobs = next((artifact for artifact in artifacts if artifact.role == "blobs.tar"), None)
    found = []
    if "age" in encodings:
        found.append('Decrypt: for f in *.age; do age -d -i key.txt -o "${f%.age}" "$f" || echo "FAILED: $f"; done')
    if cuts:
        found.append('Join: for f in *.part00001; do cat "${f%.part00001}".part????? > "${f%.part00001}"; done')
    if "zstd" in encodings:
        found.append("Decompress: zstd -d --rm *.dat.zst  # not needed where pg_restore is built with zstd")
    if blobs:
        name = blobs.key.rpartition("/")[2].removesuffix(".age")
        found.append(f"Unpack the large objects: tar -xf {quote(name)}")
    return (
        *found,
        "Load: pg_restore --exit-on-error --jobs=4 -d DATABASE .",
        "Check: row counts are in `contents` of the manifest.",
    )

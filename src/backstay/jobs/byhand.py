"""The steps of a restore with stock tools alone, names filled in: in every manifest, and beside the artifacts."""

from collections.abc import Sequence
from shlex import quote

from backstay.core.model import Artifact, Backup

FEW = 2  # artifacts that are fetched one by one
TOOLS = {"gzip": "gunzip -c", "zstd": "zstd -dc", "zip": "funzip", "age": "age -d -i key.txt"}


def by_hand(lines: Sequence[str], artifacts: Sequence[Artifact], url: str) -> tuple[str, ...]:
    """How to fetch the artifacts below ``url``, then the tier's lines with ``{role}`` replaced by the command that
    prints that artifact's plain bytes."""
    printing = {f"{{{artifact.role}}}": _print_plain(artifact) for artifact in artifacts}
    filled = []
    for line in lines:
        for place, command in printing.items():
            if place in line:
                line = line.replace(place, command)  # noqa: PLW2901 - each place in turn
        filled.append(line)
    return (*_fetch(artifacts, url), *filled)


def guide_text(backup: Backup) -> str:
    """``RESTORE.md``: the steps of a manifest as a page, for whoever finds only the folder."""
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(backup.restore_by_hand, 1))
    return (
        f"# Restore {backup.id} by hand\n\n"
        f"A backup of cluster {backup.cluster}, begun {backup.started_at:%Y-%m-%d %H:%M:%S} UTC. It is whole only if "
        f"its manifest exists (`backstay/v1/backups/{backup.target}/{backup.stamp}.json`), which also has the sha256 "
        f"of every file and the rows of every table.\n\n"
        f"With Backstay: `backstay restore {backup.id}`. Without it:\n\n"
        f"{steps}\n"
    )


def _fetch(artifacts: Sequence[Artifact], url: str) -> list[str]:
    """One command for a folder of their own, where most of them are; else one for each."""
    folders = [artifact.key.rpartition("/")[0] for artifact in artifacts]
    folder = max(folders, key=folders.count, default="")
    if not folder or folders.count(folder) <= FEW:
        return [_copy(url + artifact.key, ".") for artifact in artifacts]
    name = quote(folder.rpartition("/")[2])
    apart = [_copy(url + one.key, ".") for one, place in zip(artifacts, folders, strict=True) if place != folder]
    return [*apart, _copy(f"{url}{folder}/", f"{name}/", recursive=True), f"Go there: cd {name}"]


def _copy(source: str, to: str, *, recursive: bool = False) -> str:
    if source.startswith("file://"):
        return f"Fetch: cp {'-r ' if recursive else ''}{quote(source.removeprefix('file://'))} {to}"
    flag = "--recursive " if recursive else ""
    return f"Fetch: aws s3 cp {flag}{quote(source)} {to}  # add --endpoint-url URL for a server that is not Amazon's"


def _print_plain(artifact: Artifact) -> str:
    """``age -d -i key.txt FILE | gunzip -c``: undo the encodings, the last one first."""
    name = quote(artifact.key.rpartition("/")[2])
    if artifact.encoding == ("zip",):
        return f"unzip -p {name}"  # funzip reads from a pipe, and ends with an error above 4 GiB
    first, *rest = [TOOLS[encoding] for encoding in reversed(artifact.encoding)] or ["cat"]
    return " | ".join([f"{first} {name}", *rest])

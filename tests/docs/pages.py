"""The documentation as data: its pages, their links, blocks and words in code; no Markdown library."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
MADE = re.compile(r"^(\.(?!ci$|github$).*|__pycache__|build|dist|.*\.egg-info)$")  # folders that nobody wrote
_FENCE = re.compile(r"^( *)(```+)(\S*)[^\n]*\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: what it says it is (``sh``, or nothing), its text, and its first line, counted from 1."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True)
class Page:
    """One Markdown file; ``name`` is its path from the root of the repository."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        return [
            Block(match[3], match[4], self.text.count("\n", 0, match.start()) + 2)
            for match in _FENCE.finditer(self.text)
        ]

    @cached_property
    def prose(self) -> str:
        """Everything but the blocks."""
        return _FENCE.sub("", self.text)

    @cached_property
    def links(self) -> list[str]:
        """The targets of its links, outside code."""
        return _LINK.findall(_INLINE.sub("code", self.prose))

    @cached_property
    def code(self) -> list[str]:
        """What stands between single backticks, on one line."""
        return [" ".join(text.split()) for text in _INLINE.findall(self.prose)]

    @cached_property
    def anchors(self) -> set[str]:
        return {slug(heading) for heading in _HEADING.findall(self.prose)}


def pages() -> list[Page]:
    """Every Markdown file of the repository."""
    return [Page(path) for path in files() if path.suffix == ".md"]


def files() -> Iterator[Path]:
    """Every file of the repository, without what is made from it."""
    for folder, below, names in os.walk(ROOT):
        below[:] = sorted(name for name in below if not MADE.match(name))
        yield from (Path(folder) / name for name in sorted(names))


def slug(heading: str) -> str:
    """The anchor that a forge gives a heading: lower case, punctuation gone, spaces as hyphens."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")

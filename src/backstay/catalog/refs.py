"""What people type for a backup, resolved against what there is. Pure.

``postgres/cardboard``, ``postgres/cardboard@latest``, ``@20260211-154344``, and any unique beginning of
the stamp and of the target or its name: ``cardboard@2026``.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backstay.core.errors import NoSuchBackup
from backstay.core.model import Target

LATEST = "latest"
SHOWN = 5  # how many candidates an error names


@dataclass(frozen=True)
class Ref:
    """A reference in its two parts: no target is any of them, no stamp is the newest complete one."""

    text: str
    target: str
    stamp: str

    @property
    def latest(self) -> bool:
        """Whether the newest complete backup is asked for."""
        return self.stamp in {"", LATEST}


def parse(text: str) -> Ref:
    """Split a reference. Raises ``NoSuchBackup`` when it is empty."""
    target, _, stamp = text.strip().partition("@")
    if not target and not stamp:
        raise NoSuchBackup("no backup was named", hint="Name one as `backstay list` shows it.")
    return Ref(text.strip(), target, stamp)


def choose_target(ref: Ref, known: Iterable[Target]) -> Target:
    """The one target that ``ref.target`` means: its id, else its name, else a beginning of either.

    Raises ``NoSuchBackup`` naming near ones or the ambiguous ones.
    """
    targets = sorted(set(known))
    word = ref.target
    for matches in (
        [target for target in targets if str(target) == word],
        [target for target in targets if target.name == word],
        [target for target in targets if str(target).startswith(word) or target.name.startswith(word)],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise _ambiguous(ref, [str(target) for target in matches])
    raise _unknown_target(ref, [str(target) for target in targets])


def choose_stamp(ref: Ref, target: Target, stamps: Iterable[str]) -> str:
    """The one of these ``stamps`` that begins with ``ref.stamp``; there is at least one. Raises ``NoSuchBackup``."""
    known = sorted(set(stamps))
    matches = [stamp for stamp in known if stamp.startswith(ref.stamp)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise _ambiguous(ref, [f"{target}@{stamp}" for stamp in reversed(matches)])
    raise NoSuchBackup(
        f"{target} has no backup whose stamp begins with {ref.stamp}",
        hint=f"The newest of {len(known):,} is {target}@{known[-1]}.",
    )


def choose_any(ref: Ref, known: Iterable[tuple[Target, str]]) -> tuple[Target, str]:
    """The one backup of any target whose stamp begins with ``ref.stamp``. Raises ``NoSuchBackup``."""
    matches = sorted({(target, stamp) for target, stamp in known if stamp.startswith(ref.stamp)})
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise _ambiguous(ref, [f"{target}@{stamp}" for target, stamp in matches])
    raise NoSuchBackup(
        f"no backup has a stamp that begins with {ref.stamp}", hint="`backstay list` shows all there are."
    )


def _ambiguous(ref: Ref, ids: Sequence[str]) -> NoSuchBackup:
    more = f" and {len(ids) - SHOWN:,} more" if len(ids) > SHOWN else ""
    return NoSuchBackup(
        f"{ref.text} may be any of {len(ids):,}: {', '.join(ids[:SHOWN])}{more}",
        hint="Type more of it, until only one is meant.",
    )


def _unknown_target(ref: Ref, names: Sequence[str]) -> NoSuchBackup:
    near = difflib.get_close_matches(ref.target, [*names, *(name.partition("/")[2] for name in names)], n=1)
    if near:
        hint = f"Did you mean {near[0]}?"
    elif names:
        more = ", ..." if len(names) > SHOWN else ""
        hint = f"There are backups of {', '.join(names[:SHOWN])}{more}."
    else:
        hint = "The store holds no backup yet; `backstay backup` makes one."
    return NoSuchBackup(f"there is no backup of {ref.target}", hint=hint)

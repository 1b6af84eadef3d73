"""Every key under ``backstay/`` is made and read here (docs/format.md, "Layout").

A stamp is the second a run began, in UTC: ``20260211-154344``; sorting the keys of a target sorts its runs
by time. Names read from a store's list that have another form are not ours: parsing gives ``None`` and
readers pass over them, so that a later version may put other things beside them.
"""

import re
from collections.abc import Iterator
from datetime import datetime

from backstay.core.errors import UsageError
from backstay.core.model import State, Target, TierKind
from backstay.core.units import parse_stamp
from backstay.store.base import ObjectInfo, Store, check_key

OWN = "backstay/"  # nothing of a backup itself may be here
ROOT = OWN + "v1/"
FORMAT = ROOT + "format.json"
BACKUPS = ROOT + "backups/"
DRILLS = ROOT + "drills/"
RESTORES = ROOT + "restores/"
LEASES = ROOT + "leases/"
INTENTS = ROOT + "intents/"
FAILURES = ROOT + "failures/"
RETIRED = ROOT + "retired/"
CONFIG = ROOT + "config/"
YEARS = range(1970, 9000)  # what a time in a store may say, so that arithmetic with it cannot overflow

_TIERS = {tier.value: tier for tier in TierKind}
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}", re.ASCII)
_WORDED = re.compile(r"([0-9]{8}-[0-9]{6})-([a-z]{1,20})", re.ASCII)
_RETIRED_STATES = {state.value: state for state in (State.COMPLETE, State.PARTIAL)}


def check_target(target: Target) -> Target:
    """Return ``target`` if its name can be part of a key; a volume's may be ``namespace/claim``.

    Raises ``UsageError``.
    """
    if not _is_name(target.tier, target.name):
        raise UsageError(
            f"{str(target)!r} cannot be the name of a target",
            hint="Use letters, digits, '.', '_' and '-', beginning with a letter, a digit or '_'; "
            "only a volume's name may have one '/'.",
        )
    return target


def moment_of(stamp: str) -> datetime:
    """The UTC time a stamp says. Raises ``UsageError`` when it is none."""
    moment = _moment(stamp)
    if moment is None:
        raise UsageError(f"{stamp!r} is not a stamp", hint="A stamp looks like 20260211-154344, in UTC.")
    return moment


def is_stamp(text: str) -> bool:
    """Whether ``text`` is a stamp of a real date and time."""
    return _moment(text) is not None


def manifest_key(target: Target, stamp: str) -> str:
    """Where the manifest of one backup is."""
    return _record_key(BACKUPS, target, stamp)


def intent_key(target: Target, stamp: str) -> str:
    """Where a run says which keys it is about to write."""
    return _record_key(INTENTS, target, stamp)


def journal_key(target: Target, stamp: str) -> str:
    """Where the journal of a restore begun at ``stamp`` is."""
    return _record_key(RESTORES, target, stamp)


def failure_key(target: Target, stamp: str) -> str:
    """Where a run that ended in an error says so."""
    return _record_key(FAILURES, target, stamp)


def proof_key(target: Target, stamp: str, kind: str) -> str:
    """Where the proof given by a run of ``kind`` (verify, restore, drill) begun at ``stamp`` is."""
    moment_of(stamp)
    if not _WORDED.fullmatch(f"{stamp}-{kind}"):
        raise UsageError(f"{kind!r} is not a kind of proof", hint="It is verify, restore or drill.")
    return f"{target_prefix(DRILLS, target)}{stamp}-{kind}.json"


def retired_key(target: Target, stamp: str, state: State) -> str:
    """Where the note of a backup that prune removed is. Raises ``UsageError`` for a state no backup has."""
    moment_of(stamp)
    if state not in _RETIRED_STATES.values():
        raise UsageError(f"a backup that is {state.value} leaves no note")
    return f"{target_prefix(RETIRED, target)}{stamp}-{state.value}.json"


def lease_key(target: Target) -> str:
    """Where the lease of a target is."""
    return f"{LEASES}{check_target(target)}.json"


def config_key(stamp: str) -> str:
    """Where the configuration that a run at ``stamp`` was the first to use is."""
    moment_of(stamp)
    return f"{CONFIG}{stamp}.yaml"


def target_prefix(folder: str, target: Target) -> str:
    """What the keys of ``target`` in ``folder`` begin with; ``volumes/a`` and ``volumes/a/b`` begin alike."""
    return f"{folder}{check_target(target)}/"


def list_records(
    store: Store, folder: str, target: Target | None = None, tier: TierKind | None = None
) -> Iterator[tuple[ObjectInfo, Target, str]]:
    """The records in ``folder``, of one target or tier, with target and stamp; sorted by key."""
    prefix = folder
    if target is not None:
        prefix = target_prefix(folder, target)
    elif tier is not None:
        prefix = f"{folder}{tier.value}/"
    for info in store.list(prefix):
        parsed = parse_record(folder, info.key)
        if parsed and target in {None, parsed[0]}:
            yield info, *parsed


def parse_record(folder: str, key: str) -> tuple[Target, str] | None:
    """Target and stamp of ``<folder><tier>/<target>/<stamp>.json``; ``None`` for any other name."""
    parsed = _split(folder, key)
    if parsed is None or not is_stamp(parsed[1]):
        return None
    return parsed


def parse_proof(key: str) -> tuple[Target, str, str] | None:
    """Target, stamp of the run and kind of a proof's key; ``None`` for any other name."""
    return _split_worded(DRILLS, key)


def parse_retired(key: str) -> tuple[Target, str, State] | None:
    """Target, stamp and state of a removed backup's key; ``None`` for any other name."""
    parsed = _split_worded(RETIRED, key)
    if parsed is None or parsed[2] not in _RETIRED_STATES:
        return None
    return parsed[0], parsed[1], _RETIRED_STATES[parsed[2]]


def is_artifact_key(key: str) -> bool:
    """Whether a backup may own ``key``: one that can name an object, and not in Backstay's own folder."""
    try:
        return not check_key(key).casefold().startswith(OWN)
    except UsageError:
        return False


def _record_key(folder: str, target: Target, stamp: str) -> str:
    moment_of(stamp)
    return f"{target_prefix(folder, target)}{stamp}.json"


def _split(folder: str, key: str) -> tuple[Target, str] | None:
    parts = key.removeprefix(folder).removesuffix(".json").split("/")
    if not key.startswith(folder) or not key.endswith(".json") or len(parts) < 3:
        return None
    name = "/".join(parts[1:-1])
    tier = _TIERS.get(parts[0])
    if tier is None or not _is_name(tier, name):
        return None
    return Target(tier, name), parts[-1]


def _split_worded(folder: str, key: str) -> tuple[Target, str, str] | None:
    """Target, stamp and word of ``<folder><tier>/<target>/<stamp>-<word>.json``."""
    parsed = _split(folder, key)
    match = _WORDED.fullmatch(parsed[1]) if parsed else None
    if parsed is None or match is None or not is_stamp(match[1]):
        return None
    return parsed[0], match[1], match[2]


def _is_name(tier: TierKind, name: str) -> bool:
    parts = name.split("/")
    most = 2 if tier is TierKind.VOLUMES else 1
    return len(parts) <= most and all(_PART.fullmatch(part) for part in parts)


def _moment(stamp: str) -> datetime | None:
    try:
        moment = parse_stamp(stamp)
    except ValueError:
        return None
    return moment if moment.year in YEARS else None

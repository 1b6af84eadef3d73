"""The targets of a configuration: where each is kept, for how long, how it is named and written."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from backstay.catalog.foreign import Names, Naming, SnapshotNaming
from backstay.catalog.veleronames import VeleroNaming
from backstay.core.errors import UsageError
from backstay.core.model import Target, TierKind
from backstay.jobs.context import TargetSettings
from backstay.store.pipeline import Encoding

if TYPE_CHECKING:
    from backstay.config.models.root import Config
    from backstay.config.resolved import ResolvedDatabase, ResolvedEtcd, ResolvedObjects

NAMING: Mapping[TierKind, Callable[[str, str], Names]] = {
    TierKind.POSTGRES: Naming,
    TierKind.ETCD: SnapshotNaming,
    TierKind.OBJECTS: VeleroNaming,
}


def settings_of(config: "Config") -> dict[Target, TargetSettings]:
    """What the jobs must know of every target."""
    recipients = tuple(config.encryption.recipients)
    settings = [
        _settings(config, TierKind.POSTGRES, name, one, name, Encoding(one.compression, one.level, recipients))
        for name, one in config.postgres_databases().items()
    ]
    if (etcd := config.resolved_etcd()) is not None:
        encoding = Encoding(etcd.compression, recipients=recipients)
        settings.append(_settings(config, TierKind.ETCD, etcd.name, etcd, etcd.snapshot_name, encoding))
    settings += [
        _settings(config, TierKind.OBJECTS, one.name, one, one.name, Encoding(recipients=recipients))
        for one in config.resolved_objects().values()
    ]
    return {one.target: one for one in settings}


def names_of(settings: TargetSettings) -> Names:
    """How artifacts of a target are named, also those that others left there."""
    return NAMING[settings.target.tier](settings.prefix, settings.base)


def match(name: str, known: Sequence[Target]) -> list[Target]:
    """``postgres`` is the whole tier, ``postgres/x`` or a unique ``x`` one target. Raises ``UsageError``."""
    whole = [target for target in known if target.tier.value == name]
    exact = [target for target in known if name in {str(target), target.name}]
    found = exact or whole
    if not found:
        near = difflib.get_close_matches(name, [text for t in known for text in (str(t), t.name)], 1)
        raise UsageError(
            f"{name} is not a target of this configuration",
            hint=f"Did you mean {near[0]}?" if near else "`backstay config show` lists the targets.",
        )
    if exact and len(exact) > 1:
        raise UsageError(f"{name} is not unique", hint=f"Say one of {', '.join(map(str, exact))}.")
    return found


def _settings(
    config: "Config",
    tier: TierKind,
    name: str,
    one: "ResolvedDatabase | ResolvedEtcd | ResolvedObjects",
    base: str,
    encoding: Encoding,
) -> TargetSettings:
    lock = config.stores[one.store].object_lock
    return TargetSettings(
        target=Target(tier, name),
        store=one.store,
        prefix=one.prefix,
        base=base,
        schedule=one.schedule,
        timezone=one.timezone,
        keep=one.keep,
        encoding=encoding,
        rpo=one.rpo,
        rto=one.rto,
        lock_for=timedelta(days=lock.days) if lock and lock.days else None,
    )

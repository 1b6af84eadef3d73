"""The backups of one store. The store is the catalog: a backup exists when its manifest does."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from types import MappingProxyType

from backstay.catalog import foreign as foreign_dumps
from backstay.catalog import keys, manifest, records, sweep, veleronames
from backstay.catalog.cache import Cache
from backstay.catalog.fetch import Problem, fetch
from backstay.catalog.find import find
from backstay.catalog.foreign import Names
from backstay.catalog.intent import Intent, IntentRecord, IntentState, same_second
from backstay.catalog.proofs import Proofs
from backstay.catalog.sweep import Sweep
from backstay.core.errors import AlreadyExists, CatalogError, ConfigError, NoSuchBackup, NotFound
from backstay.core.model import Backup, Target, TierKind
from backstay.core.units import exact_time, format_stamp
from backstay.store.base import ObjectInfo, Store

NO_FOREIGN: Mapping[Target, Names] = MappingProxyType({})


class Catalog:
    """What is in one store. Reads a store's lists without trust; the caller closes store and cache.

    ``name`` is the store's name in the configuration, ``cluster`` the one whose backups these are, ``new_id``
    gives random words that tell runs apart, ``foreign`` says where other dumps of a target may lie.
    """

    def __init__(
        self,
        store: Store,
        *,
        name: str,
        cluster: str,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        cache: Cache | None = None,
        foreign: Mapping[Target, Names] = NO_FOREIGN,
    ) -> None:
        self.store = store
        self.name = name
        self.cluster = cluster
        self.proofs = Proofs(store, cache)
        self._now = now
        self._new_id = new_id
        self._cache = cache
        self._foreign = foreign

    def ensure_format(self, *, create: bool = True) -> None:
        """Make sure that this store is for this cluster and of a format that can be read; mark a new one.

        Raises ``ConfigError`` when it belongs to another cluster, ``FormatTooNew``, ``CatalogError``.
        """
        try:
            self._check_cluster()
        except NotFound:
            if not create:
                return
            fields = {"cluster": self.cluster, "created_at": exact_time(self._now())}
            with suppress(AlreadyExists):  # another first run was faster; it is looked at now
                records.put(self.store, keys.FORMAT, records.encode("store", fields), create=True)
            self._check_cluster()

    def _check_cluster(self) -> None:
        mark = records.decode("store", records.read_bytes(self.store, keys.FORMAT), keys.FORMAT)
        cluster = mark.text("cluster", empty=True)
        if cluster != self.cluster:
            raise ConfigError(
                f"store {self.name} at {self.store.describe()} holds the backups of cluster {cluster}, "
                f"not of {self.cluster}",
                hint="Give each cluster a prefix of its own in the bucket, or correct `cluster:`. Nothing was written.",
            )

    def begin(self, target: Target, stamp: str) -> Intent:
        """Announce a run: the first thing in the store, before any artifact.

        Raises ``CatalogError`` when there is a run or a backup of this second already, also one of another tool: take
        another stamp.
        """
        naming = self._foreign.get(target)
        others = naming.taken(stamp) if naming else ()
        taken = (keys.manifest_key(target, stamp), keys.intent_key(target, stamp), *others)
        if any(records.exists(self.store, key) for key in taken):
            raise same_second(target, stamp)
        moment = self._now()
        record = IntentRecord(target, stamp, self._new_id(), IntentState.OPEN, moment, moment)
        return Intent(self.store, record, self._now)

    def commit(self, backup: Backup, intent: Intent) -> None:
        """Make ``backup`` exist. Raises ``CatalogError``, ``LeaseLost``; then it does not."""
        if backup.cluster != self.cluster:
            raise CatalogError(f"{backup.id} is of cluster {backup.cluster}, not {self.cluster}")
        intent.commit(backup)

    def clean(self, target: Target, *, older_than: timedelta | None = None) -> list[Sweep]:
        """Finish or undo what killed runs of ``target`` left, oldest first.

        The caller holds the lease of ``target``, or says an age that no run reaches.
        """
        period = _Period(None, self._now() - older_than if older_than else None)
        stamps = [stamp for stamp in sweep.stamps(self.store, target) if stamp in period]
        swept = (sweep.sweep(self.store, target, stamp, self._now()) for stamp in stamps)
        return [done for done in swept if done is not None]

    def littered(self) -> list[Target]:
        """The targets, also such as are no longer configured, that have something for ``clean``."""
        return sorted({target for _, target, _ in keys.list_records(self.store, keys.INTENTS)})

    def remove(self, backup: Backup) -> None:
        """Remove a backup, manifest first: when this is cut short, ``clean`` removes the rest.

        Raises ``CatalogError`` before anything is removed when an artifact is not one a backup may own, and
        ``Locked`` when the store forbids it.
        """
        owned = tuple(artifact.key for artifact in backup.artifacts)
        if not all(keys.is_artifact_key(key) for key in owned):
            raise CatalogError(f"{backup.id} claims a key that is not an artifact's", hint="Nothing was removed.")
        moment = self._now()
        target, stamp = backup.target, backup.stamp
        record = IntentRecord(target, stamp, self._new_id(), IntentState.ABANDONED, moment, moment, owned)
        self.store.put(record.key, (record.encode(),))
        self.store.delete((keys.manifest_key(target, stamp),))
        veleronames.remove(self.store, owned)
        self.store.delete((record.key,))

    def backups(
        self,
        target: Target | None = None,
        *,
        tier: TierKind | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        foreign: bool = False,
        problem: Problem | None = None,
    ) -> Iterator[Backup]:
        """The committed backups whose run began from ``since`` to ``until``, by target, oldest first.

        ``foreign`` adds the dumps of other tools, after them. A manifest that cannot be read raises
        ``CatalogError``, or is told to ``problem`` and left out.
        """
        period = _Period(since, until)
        infos = (info for info, _, stamp in self._manifests(target, tier) if stamp in period)
        yield from fetch(self.store, infos, self._decode, cache=self._cache, problem=problem)
        if foreign:
            for owner in self.foreign_targets(target, tier):
                yield from (backup for backup in self.foreign(owner) if backup.stamp in period)

    def foreign_targets(self, target: Target | None = None, tier: TierKind | None = None) -> Iterator[Target]:
        """The targets that may have dumps of other tools."""
        for owner in sorted(self._foreign):
            if target in {None, owner} and tier in {None, owner.tier}:
                yield owner

    def foreign(self, target: Target) -> Iterator[Backup]:
        """The dumps of ``target`` that other tools left, oldest first; none when nobody said where to look."""
        naming = self._foreign.get(target)
        if naming is not None:
            yield from foreign_dumps.foreign(self.store, naming, target, self._claimed(target), store_name=self.name)

    def strays(self, target: Target) -> Iterator[ObjectInfo]:
        """Objects named like parts of a backup of ``target`` that belong to no run; litter once a day old."""
        naming = self._foreign.get(target)
        if naming is not None:
            yield from foreign_dumps.strays(self.store, naming, self._claimed(target))

    def stamps(self, target: Target) -> Iterator[str]:
        """The stamps of the committed backups of ``target``, oldest first; from keys alone."""
        return (stamp for _, stamp in self.ids(target))

    def ids(self, target: Target | None = None, tier: TierKind | None = None) -> Iterator[tuple[Target, str]]:
        """Target and stamp of every committed backup, sorted by key; from keys alone."""
        return ((owner, stamp) for _, owner, stamp in self._manifests(target, tier))

    def get(self, target: Target, stamp: str) -> Backup:
        """One backup, a foreign one too. Raises ``NoSuchBackup``, ``CatalogError``."""
        key = keys.manifest_key(target, stamp)
        try:
            return manifest.decode(records.read_bytes(self.store, key), key, store=self.name)
        except NotFound:
            found = next((one for one in self.foreign(target) if one.stamp == stamp), None)
        if found is None:
            raise NoSuchBackup(
                f"there is no backup {target}@{stamp} in store {self.name}", hint="`backstay list` shows all."
            )
        return found

    def find(self, text: str) -> Backup:
        """The backup that people mean by ``text``, as find.py says. Raises ``NoSuchBackup``."""
        return find(text, [self])

    def _claimed(self, target: Target) -> set[str]:
        return {*self.stamps(target), *sweep.stamps(self.store, target)}

    def _manifests(
        self, target: Target | None = None, tier: TierKind | None = None
    ) -> Iterator[tuple[ObjectInfo, Target, str]]:
        seen = []
        for info, owner, stamp in keys.list_records(self.store, keys.BACKUPS, target, tier):
            seen.append(info.key)
            yield info, owner, stamp
        if self._cache and target is None and tier is None:
            self._cache.retain(keys.BACKUPS, seen)

    def _decode(self, info: ObjectInfo, body: bytes) -> Backup:
        return manifest.decode(body, info.key, store=self.name)


class _Period:
    """The stamps from one moment to another, both with all of their second; ``None`` is no bound."""

    def __init__(self, since: datetime | None, until: datetime | None) -> None:
        self._since = format_stamp(since) if since else ""
        self._until = format_stamp(until) if until else "~"  # above every digit

    def __contains__(self, stamp: str) -> bool:
        return self._since <= stamp <= self._until

"""The objects of a cluster as a stream: several kinds listed at once, and an account of what each of them gave.

What cannot be listed is named, with its reason; what was listed before a list broke is kept. One kind's failure never
ends the run, unless the API server itself does not answer any more. The namespaces are those of the start: what lies in
a namespace made later belongs to the next backup.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

import msgspec

from backstay.cluster.base import Cluster, Item, Resource
from backstay.core.errors import ClusterError, ClusterUnreachable, ObjectNotFound
from backstay.core.units import counted
from backstay.tiers.objects.handover import Closed, Handover
from backstay.tiers.objects.related import ROUNDS, Needs
from backstay.tiers.objects.selection import EXCLUDE_LABEL, Chosen

BATCH_BYTES = 256 << 10
BATCH_ITEMS = 200
QUEUE_BYTES = 16 << 20  # of JSON; in memory an item takes half as much again
STOP_SECONDS = 5.0
NOT_NEEDED = "; what was taken may need some of them: `cluster_scoped: false` leaves such objects out"
UNAUTHORIZED = 401  # the user is not known any more, so no other kind will do better
Batch = list[tuple[Resource, Item]]


@dataclass
class Account:
    """What a run did not take, and why. Counts are of objects, and of kinds listed out of those to list so far."""

    kinds: int = 0
    kinds_done: int = 0
    being_deleted: int = 0
    labelled: int = 0
    omissions: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Listing:
    """The lists of all kinds in ``workers`` threads, for the length of a block; ``batches`` is for one thread.

    With ``only`` other objects are passed over without a word; ``hint`` says what to do where a list fails.
    The end of the block stops them, however it comes. After an error it waits only a little for a list that waits for
    an answer: what that brings later goes nowhere.
    """

    def __init__(
        self,
        cluster: Cluster,
        chosen: Chosen,
        labels: str,
        workers: int,
        log: Callable[[str], None] = lambda _: None,
        *,
        account: Account | None = None,
        only: Callable[[Resource, Item], bool] = lambda _kind, _item: True,
        hint: str = "",
    ) -> None:
        self.account = account or Account()
        self.account.kinds += len(chosen.kinds)
        self._cluster = cluster
        self._chosen = chosen
        self._labels = labels
        self._log = log
        self._only = only
        self._hint = hint
        self._kinds = iter(chosen.kinds)
        self._lock = threading.Lock()
        count = max(1, min(workers, len(chosen.kinds)))
        self._handover: Handover[Batch] = Handover(count, QUEUE_BYTES)
        self._threads = [threading.Thread(target=self._work, name=f"list-{n}", daemon=True) for n in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handover.close()
        for thread in self._threads:
            thread.join(None if error is None else STOP_SECONDS)

    def batches(self) -> Iterator[Batch]:
        """Every object as it comes, with its kind. Raises ``ClusterUnreachable`` when the API server is gone, and what
        a list raised that is no ``ClusterError``."""
        return iter(self._handover)

    def _work(self) -> None:
        try:
            while True:
                with self._lock:
                    kind = next(self._kinds, None)
                if kind is None:
                    return
                self._take_kind(kind)
        except Closed:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by who iterates
            self._handover.fail(error)
        finally:
            self._handover.done()

    def _take_kind(self, kind: Resource) -> None:
        taken = sum(self._take_namespace(kind, one) for one in (self._chosen.lists if kind.namespaced else ("",)))
        with self._lock:
            self.account.kinds_done += 1
        self._log(f"Listed {kind.name}: {counted(taken, 'object')} taken")

    def _take_namespace(self, kind: Resource, namespace: str, *, again: bool = True) -> int:
        """How many objects one list gave. Where the version of the kind is not served any more, it is listed once more
        at the one that is now."""
        given = _Portions(kind, self._handover)
        try:
            self._take_list(kind, namespace, given)
            given.send()
        except ObjectNotFound as error:
            given.send()
            found = self._cluster.discover()
            now = next((one for one in found.resources if one.name == kind.name), None)
            if again and now is not None and now.version != kind.version:
                return given.count + self._take_namespace(now, namespace, again=False)
            if now is None and not any(one.rpartition("/")[0] == kind.group for one in found.failed):
                self._warn(f"{_where(kind, namespace)}: the kind was removed while the backup ran")
            else:
                self._omit(_where(kind, namespace), given.count, error)
        except ClusterError as error:
            given.send()
            self._judge(error)
            self._omit(_where(kind, namespace), given.count, error)
        return given.count

    def _take_list(self, kind: Resource, namespace: str, given: "_Portions") -> None:
        being_deleted = labelled = 0
        items = self._cluster.list(kind, namespace=namespace, labels=self._labels, inconsistent=self._warn)
        try:
            for item in items:
                if kind.namespaced and item.namespace and item.namespace not in self._chosen.namespaces:
                    continue
                if not self._only(kind, item):
                    continue
                if item.deleting:
                    being_deleted += 1
                elif item.labels.get(EXCLUDE_LABEL) == "true":
                    labelled += 1
                else:
                    given.add(item)
        finally:
            with self._lock:
                self.account.being_deleted += being_deleted
                self.account.labelled += labelled

    def _judge(self, error: ClusterError) -> None:
        """Raises the error of a list when it is not this kind's alone."""
        if error.context.get("status") == UNAUTHORIZED:
            raise error
        if isinstance(error, ClusterUnreachable):
            try:
                self._cluster.version()
            except ClusterError:
                raise error from None

    def _omit(self, where: str, count: int, error: ClusterError) -> None:
        """Say what is missing because a list failed."""
        how = f"its list ended after {counted(count, 'object')}: " if count else ""
        with self._lock:
            self.account.omissions.append(f"{where}: {how}{error.message}{self._hint}")

    def _warn(self, words: str) -> None:
        with self._lock:
            self.account.warnings.append(words)


def related(
    cluster: Cluster, chosen: Chosen, needs: Needs, account: Account, workers: int, log: Callable[[str], None]
) -> Iterator[Batch]:
    """What the objects that ``needs`` has seen need outside of namespaces; it is to see what comes, too. A kind of
    which nothing is needed is not listed. Raises as ``Listing.batches``."""

    def is_needed(kind: Resource, item: Item) -> bool:
        return needs.wants(kind.name, item.name, lambda: msgspec.json.decode(item.json, type=dict))

    for names in ROUNDS:
        kinds = tuple(one for one in chosen.related if one.name in names and needs.may_want(one.name))
        these = replace(chosen, kinds=kinds)
        with Listing(cluster, these, "", workers, log, account=account, only=is_needed, hint=NOT_NEEDED) as listing:
            yield from listing.batches()


def _where(kind: Resource, namespace: str) -> str:
    return f"{kind.name} in {namespace}" if namespace else kind.name


class _Portions:
    """Items of one kind on their way into the handover."""

    def __init__(self, kind: Resource, handover: Handover[Batch]) -> None:
        self.count = 0
        self._kind = kind
        self._handover = handover
        self._batch: Batch = []
        self._bytes = 0

    def add(self, item: Item) -> None:
        """Raises ``Closed``."""
        self.count += 1
        self._batch.append((self._kind, item))
        self._bytes += len(item.json)
        if self._bytes >= BATCH_BYTES or len(self._batch) >= BATCH_ITEMS:
            self.send()

    def send(self) -> None:
        """Hand over what there is. Raises ``Closed``."""
        if self._batch:
            batch, size = self._batch, self._bytes
            self._batch, self._bytes = [], 0
            self._handover.put(batch, size)

"""One object into the cluster: a single request where it is new, and patience with what settles by itself."""

from dataclasses import dataclass, field, replace

from backstay.cluster.base import Cluster, Object, Resource
from backstay.core.errors import (
    ClusterError,
    ClusterUnreachable,
    ObjectConflict,
    ObjectExists,
    ObjectInvalid,
    ObjectNotFound,
)
from backstay.tiers.objects.change.transform import Ready
from backstay.tiers.objects.restore.existing import Existing
from backstay.tiers.objects.restore.patience import Patience
from backstay.tiers.objects.restore.request import Policy
from backstay.tiers.objects.restore.tally import Fate, Result

SETTLES = (  # in the API server's words: what may be otherwise a moment later
    "exceeded quota",
    "error looking up service account",
    "the server could not find the requested resource",  # of a definition that was established just now
)


@dataclass
class Putter:
    """Puts objects, from several threads."""

    cluster: Cluster
    existing: Existing
    patience: Patience
    _hopeless: set[tuple[str, str]] = field(default_factory=set)

    def put(self, resource: Resource, ready: Ready) -> Result:
        """Make the object, or settle what becomes of the one that is there. Raises ``ClusterUnreachable`` when the API
        server has gone; what it refuses is a result."""
        try:
            return self._settled(resource, ready)
        except ClusterUnreachable as error:
            self.cluster.version()  # raises where it is not this object alone
            return Result(Fate.FAILED, error.message)
        except ClusterError as error:
            return Result(Fate.FAILED, error.message)

    def _settled(self, resource: Resource, ready: Ready) -> Result:
        """Again while the API server's words say that it may go well a moment later."""
        refused, why = None, ""
        for _ in self.patience.rounds(self.patience.settle):
            try:
                return self._unhurried(resource, ready)
            except ClusterError as error:
                reason = next((words for words in SETTLES if words in error.message), "")
                if not reason or (ready.namespace, reason) in self._hopeless:
                    raise
                refused, why = error, reason
        assert refused is not None, "rounds are at least one"  # noqa: S101 - a mistake in this program
        self._hopeless.add((ready.namespace, why))  # the next object need not wait as long for the same
        raise refused

    def _unhurried(self, resource: Resource, ready: Ready) -> Result:
        """Once more for each time that somebody else changed the object meanwhile."""
        for left in reversed(range(self.patience.tries)):
            try:
                return self._once(resource, ready)
            except ObjectConflict:
                if not left:
                    raise
                self.patience.sleep(self.patience.first)
        raise AssertionError("no tries at all")

    def _once(self, resource: Resource, ready: Ready) -> Result:
        body = ready.body if ready.status is None else {**ready.body, "status": ready.status}
        try:
            made = self.cluster.create(resource, body)
        except (ClusterUnreachable, ObjectConflict):
            raise
        except ClusterError as refused:
            result = self._met(resource, ready, refused)
            if ready.status is None or result.fate in {Fate.SKIPPED, Fate.UNCHANGED}:
                return result
            made = self.cluster.get(resource, ready.name, ready.namespace)
        else:
            result = Result(Fate.CREATED)
        if ready.status is not None:
            self._put_status(resource, ready, made)
        return result

    def _met(self, resource: Resource, ready: Ready, refused: ClusterError) -> Result:
        """What becomes of the one that is there. The API server looks at ports, quotas and policies before names, so
        that it may be there whatever was ``refused``; that is raised where it is not, and rather than delete it."""
        exists = isinstance(refused, ObjectExists)
        keep = not exists and self.existing.policy is Policy.RECREATE
        existing = replace(self.existing, policy=Policy.SKIP) if keep else self.existing
        try:
            result = existing.settle(resource, ready)
        except ObjectNotFound as error:
            if exists:
                raise ObjectConflict("it was deleted by somebody else at the same moment") from error
            raise refused from None
        if keep and result.fate is Fate.SKIPPED:
            raise refused
        return result

    def _put_status(self, resource: Resource, ready: Ready, made: Object) -> None:
        """Controllers may have changed the object by now. A kind without the subresource took the status before."""
        for left in reversed(range(self.patience.tries)):
            try:
                self.cluster.replace(resource, {**made, "status": ready.status}, subresource="status")
            except ObjectConflict:
                if not left:
                    raise
                made = self.cluster.get(resource, ready.name, ready.namespace)
            except ObjectNotFound:
                return
            except ObjectInvalid as error:
                raise ObjectInvalid(f"it was made, but not its status: {error.message}") from error
            else:
                return

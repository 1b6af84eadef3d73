"""The options of ``backstay restore`` that only Kubernetes objects have."""

from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from backstay.cli import values
from backstay.cli.commands.restore_options import refuse
from backstay.core.errors import UsageError
from backstay.core.model import TierKind
from backstay.core.units import parse_duration

WAIT = "5m"
MODIFIERS_LIMIT = 1 << 20  # bytes; a ConfigMap is no larger


def _several(metavar: str, text: str) -> Parameter:
    return Parameter(metavar=metavar, help=f"Objects: {text}; again, or with commas, for more.")


@dataclass(frozen=True)
class OfObjects:
    """What only a restore of Kubernetes objects asks."""

    include_namespaces: Annotated[list[str], _several("NS", "only these namespaces, * for any text")] = field(
        default_factory=list
    )
    exclude_namespaces: Annotated[list[str], _several("NS", "none of these namespaces")] = field(default_factory=list)
    resources: Annotated[list[str], _several("KIND", "only these kinds (deployments.apps, secrets)")] = field(
        default_factory=list
    )
    exclude_resources: Annotated[list[str], _several("KIND", "none of these kinds")] = field(default_factory=list)
    selector: Annotated[
        str | None, Parameter(alias="-l", metavar="LABELS", help="Objects: only those whose labels match.")
    ] = None
    object_: Annotated[
        list[str],
        Parameter(name="--object", metavar="KIND/NAME", help="Objects: just this one; again for more."),
    ] = field(default_factory=list)
    namespace_map: Annotated[
        list[str], Parameter(metavar="OLD:NEW", help="Objects: what was in OLD into NEW; again for more.")
    ] = field(default_factory=list)
    existing: Annotated[
        Literal["skip", "update", "recreate"],
        Parameter(help="Objects: what to do with one that is there and differs. `recreate` deletes it first."),
    ] = "skip"
    cluster_scoped: Annotated[
        bool | None,
        Parameter(
            negative="--no-cluster-scoped",
            help="Objects: all of those in no namespace, or none. Else, of a part, the ones that it needs.",
        ),
    ] = None
    modifiers: Annotated[
        Path | None,
        Parameter(metavar="FILE", help="Objects: changes on the way, in the format of Velero's resource modifiers."),
    ] = None
    storage_class_map: Annotated[
        list[str], Parameter(metavar="OLD:NEW", help="Objects: another storage class; again for more.")
    ] = field(default_factory=list)
    image_map: Annotated[
        list[str],
        Parameter(metavar="OLD=NEW", help="Objects: images whose name begins with OLD; again for more."),
    ] = field(default_factory=list)
    with_status: Annotated[list[str], _several("KIND", "also the status of these kinds")] = field(default_factory=list)
    preserve_node_ports: Annotated[bool, Parameter(help="Objects: Services get the node ports they had.")] = False
    wait: Annotated[
        str | None,
        Parameter(
            metavar="DURATION", help=f"Objects: how long to wait for workloads to be ready; 0 not at all [{WAIT}]."
        ),
    ] = None

    def options(self, tier: TierKind) -> dict[str, Any]:
        """As the tier understands them. Raises ``UsageError`` for what it has no use for."""
        if tier is not TierKind.OBJECTS:
            blank = OfObjects()
            given = {
                f"--{one.name.strip('_').replace('_', '-')}": getattr(self, one.name) != getattr(blank, one.name)
                for one in fields(self)
            }
            refuse(tier, given)
            return {}
        return {
            "include_namespaces": values.words(self.include_namespaces),
            "exclude_namespaces": values.words(self.exclude_namespaces),
            "resources": values.words(self.resources),
            "exclude_resources": values.words(self.exclude_resources),
            "selector": self.selector or "",
            "names": [_object_name(text) for text in self.object_],
            "namespace_map": values.pairs("--namespace-map", self.namespace_map, "shop:shop-copy"),
            "existing": self.existing,
            "cluster_scoped": self.cluster_scoped,
            "modifiers": _modifiers(self.modifiers),
            "storage_class_map": values.pairs("--storage-class-map", self.storage_class_map, "longhorn:local-path"),
            "image_map": values.pairs("--image-map", self.image_map, "docker.io/=registry.local/", "="),
            "with_status": values.words(self.with_status),
            "preserve_node_ports": self.preserve_node_ports,
            "wait_seconds": _seconds(WAIT if self.wait is None else self.wait),
        }


def _object_name(text: str) -> str:
    kind, slash, name = text.partition("/")
    if not (kind and slash and name) or "/" in name:
        raise UsageError(
            f"--object: {text!r} is not KIND/NAME",
            hint="For instance --object deployments.apps/web, with --include-namespaces for its namespace.",
        )
    return text


def _seconds(text: str) -> float:
    if text == "0":
        return 0.0
    try:
        waits: timedelta = parse_duration(text)
    except (ValueError, OverflowError):
        raise UsageError(f"--wait: {text!r} is not a duration", hint="Write 0, 90s or 5m.") from None
    return waits.total_seconds()


def _modifiers(path: Path | None) -> list[dict[str, Any]]:
    """The rules in a file: of the form itself, or of the ConfigMap that Velero reads it from."""
    if path is None:
        return []
    from backstay.tiers.objects.change.modifiers import rules_in

    try:
        with path.open("rb") as file:
            data = file.read(MODIFIERS_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"--modifiers: {path} cannot be read: {error.strerror}") from error
    if len(data) > MODIFIERS_LIMIT:
        raise UsageError(f"--modifiers: {path} is larger than a ConfigMap can be")
    return rules_in(data.decode("utf-8", "replace"))


NOTHING_OF_OBJECTS = OfObjects()

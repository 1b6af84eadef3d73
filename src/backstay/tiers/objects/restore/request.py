"""What a user asks of a restore of objects: which ones, into which namespaces, what becomes of those that are there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from backstay.core.errors import UsageError
from backstay.tiers.objects.change.modifiers import Rule, parse_rules
from backstay.tiers.objects.change.selector import Selector, parse_selector

_LISTS = ("include_namespaces", "exclude_namespaces", "resources", "exclude_resources", "names", "with_status")
_MAPS = ("namespace_map", "storage_class_map", "image_map")
_FLAGS = ("preserve_node_ports", "replicas_zero")


class Policy(StrEnum):
    """What becomes of an object that is there and differs: left alone, replaced by what the backup has, or deleted and
    made again."""

    SKIP = "skip"
    UPDATE = "update"
    RECREATE = "recreate"


@dataclass(frozen=True)
class Options:
    """The options of one restore; ``as_data`` and ``options_of`` are each other's inverse.

    Namespaces are those of the backup, before ``namespace_map``; they and resources may be shell globs. ``names`` are
    ``deployments.apps/web``. ``cluster_scoped`` None: all of them when everything is restored, and otherwise those
    that what is restored needs (its namespaces, definitions that the cluster lacks, and what else ``related`` names).
    """

    include_namespaces: tuple[str, ...] = ()
    exclude_namespaces: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    exclude_resources: tuple[str, ...] = ()
    selector: str = ""
    names: tuple[str, ...] = ()
    namespace_map: Mapping[str, str] = field(default_factory=dict)
    existing: Policy = Policy.SKIP
    modifiers: tuple[Mapping[str, Any], ...] = ()
    storage_class_map: Mapping[str, str] = field(default_factory=dict)
    image_map: Mapping[str, str] = field(default_factory=dict)
    with_status: tuple[str, ...] = ()
    preserve_node_ports: bool = False
    cluster_scoped: bool | None = None
    replicas_zero: bool = False
    wait_seconds: float = 0.0

    def as_data(self) -> dict[str, Any]:
        """As plain JSON, for a plan."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def labels(self) -> Selector:
        """``selector``, parsed."""
        return parse_selector(self.selector)

    def rules(self) -> tuple[Rule, ...]:
        """``modifiers``, parsed."""
        return parse_rules(self.modifiers)

    @property
    def narrowed(self) -> bool:
        """Whether only a part of the namespaces or of the objects is restored."""
        return bool(self.include_namespaces or self.selector or self.names)


def options_of(given: Mapping[str, Any]) -> Options:
    """The options in a request or a plan. Raises ``UsageError`` that names the one that is wrong."""
    known = [option.name for option in fields(Options)]
    if unknown := sorted(set(given) - set(known)):
        raise UsageError(f"a restore of objects has no option {', '.join(unknown)}", hint=f"It has {', '.join(known)}.")
    values: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    for name in _LISTS:
        values[name] = _words(name, values.get(name, ()))
    for name in _MAPS:
        values[name] = _word_map(name, values.get(name, {}))
    for name in _FLAGS:
        values[name] = _flag(name, values.get(name, False))
    if "cluster_scoped" in values:
        _flag("cluster_scoped", values["cluster_scoped"])
    values["existing"] = _policy(values.get("existing", Policy.SKIP))
    values["wait_seconds"] = _seconds(values.get("wait_seconds", 0))
    values["modifiers"] = tuple(values.get("modifiers", ()))
    options = Options(**values)
    _check(options)
    return options


def _check(options: Options) -> None:
    options.labels()
    options.rules()
    for name in options.names:
        resource, slash, rest = name.partition("/")
        if not slash or not resource or not rest:
            raise UsageError(f"{name!r} does not name an object", hint="Write it as deployments.apps/web.")
    for old, new in options.namespace_map.items():
        if not old or not new:
            raise UsageError(f"a namespace cannot be mapped from {old!r} to {new!r}")


def _words(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(word, str) and word for word in value):
        raise UsageError(f"{name}: a list of words is expected, not {value!r}")
    return tuple(value)


def _word_map(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(word, str) for pair in value.items() for word in pair):
        raise UsageError(f"{name}: a map from words to words is expected, not {value!r}")
    return dict(value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name}: true or false is expected, not {value!r}")
    return value


def _policy(value: Any) -> Policy:
    try:
        return Policy(value)
    except ValueError:
        raise UsageError(
            f"existing: {value!r} is not what can become of objects that are there",
            hint=f"It is one of {', '.join(Policy)}.",
        ) from None


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise UsageError(f"wait_seconds: a number of seconds is expected, not {value!r}")
    return float(value)

"""What only this tier understands of a restore request."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from backstay.core.errors import UsageError
from backstay.tiers.etcd.controlplane import ControlPlane

DOCUMENTED_BUMP = 1_000_000_000  # etcd's documentation, "Disaster recovery": more than a week of 1,500 writes a second

FLAGS = {  # what people call the fields of ``Options``
    "bump_revision": "--bump-revision",
    "members": "--member",
    "name": "--member-name",
    "to": "--to",
    "force_version": "--force-version",
}


@dataclass(frozen=True)
class Options:
    """``bump_revision`` raises all revisions by so much. Not of k3s and RKE2: ``members`` (``name=https://ip:2380``) is
    the whole cluster to be, ``name`` is this machine's; ``to`` restores only into a new data folder, without stopping
    anything. ``force_version`` goes on with a server older than the snapshot's."""

    bump_revision: int | None = None
    members: tuple[str, ...] = ()
    name: str | None = None
    to: str | None = None
    force_version: bool = False

    def urls(self) -> dict[str, str]:
        """Peer URLs by name, several of one member joined by commas. Raises ``UsageError``."""
        found: dict[str, list[str]] = {}
        for entry in self.members:
            name, equals, url = entry.partition("=")
            if not equals or not name or urlsplit(url).scheme not in {"http", "https"}:
                raise UsageError(
                    f"{entry!r} is not a member", hint="Write it as name=https://10.0.0.1:2380, once for each member."
                )
            found.setdefault(name, []).append(url)
        return {name: ",".join(urls) for name, urls in found.items()}


def options_of(given: Mapping[str, Any], plane: ControlPlane) -> Options:
    """The options of a request. Raises ``UsageError`` for those that this control plane does not have."""
    known = {field.name for field in fields(Options)}
    if unknown := sorted(set(given) - known):
        raise UsageError(
            f"a restore of etcd has no option {', '.join(unknown)}", hint=f"It has {', '.join(FLAGS.values())}."
        )
    options = Options(**{**given, "members": tuple(given.get("members", ()))})
    if options.bump_revision is not None and not 0 < options.bump_revision < 1 << 53:
        raise UsageError(
            f"revisions cannot be raised by {options.bump_revision} (--bump-revision)",
            hint=f"{DOCUMENTED_BUMP} is what etcd's guide takes.",
        )
    only_plain = [FLAGS[name] for name in ("members", "name", "to") if getattr(options, name)]
    if plane.is_rancher and only_plain:
        raise UsageError(
            f"{', '.join(only_plain)}: not with {plane.flavor.value}, which names its members by itself",
            hint="The other servers join again with `backstay etcd rejoin`.",
        )
    return options

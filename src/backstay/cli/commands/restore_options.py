"""The options of ``backstay restore``: what is restored, and where."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from backstay.cli import values
from backstay.core.errors import UsageError
from backstay.core.model import TierKind


@dataclass(frozen=True)
class What:
    """What is restored, and under which name."""

    to: Annotated[
        str | None,
        Parameter(metavar="NAME", help="Into a new database of this name (etcd: a new folder); nothing live changes."),
    ] = None
    table: Annotated[
        list[str],
        Parameter(metavar="TABLE", help="Only this table (schema.table), into a side database; again for more."),
    ] = field(default_factory=list)
    schema: Annotated[
        list[str], Parameter(metavar="SCHEMA", help="Only this schema, into a side database; again for more.")
    ] = field(default_factory=list)
    in_place: Annotated[
        bool,
        Parameter(
            help="Drop the live database first, where the disk cannot hold both; a fresh backup of it is made and "
            "proven before."
        ),
    ] = False
    map_role: Annotated[
        list[str], Parameter(metavar="OLD:NEW", help="Give what role OLD owns to role NEW; again for more.")
    ] = field(default_factory=list)
    from_file: Annotated[
        Path | None, Parameter(metavar="FILE", help="From a downloaded dump, with no store; BACKUP names the target.")
    ] = None
    manifest: Annotated[
        Path | None, Parameter(metavar="FILE", help="The manifest of the dump in --from-file, to compare with.")
    ] = None

    def options(self, tier: TierKind) -> dict[str, Any]:
        """As the tier understands them. Raises ``UsageError`` for what it has no use for."""
        if tier is TierKind.OBJECTS:
            refuse(tier, {"--to": self.to, "--table": self.table, "--schema": self.schema,
                           "--in-place": self.in_place, "--map-role": self.map_role})  # fmt: skip
            return {}
        if tier is TierKind.ETCD:
            refuse(tier, {"--table": self.table, "--schema": self.schema, "--in-place": self.in_place,
                           "--map-role": self.map_role})  # fmt: skip
            return {"to": self.to}
        return {
            "to": self.to,
            "in_place": self.in_place,
            "tables": tuple(self.table),
            "schemas": tuple(self.schema),
            "map_roles": values.pairs("--map-role", self.map_role, "app_owner:app"),
        }


@dataclass(frozen=True)
class OfEtcd:
    """What only a restore of etcd asks."""

    bump_revision: Annotated[
        int | None,
        Parameter(
            metavar="N", help="etcd: raise all revisions by N, so that nothing goes on with what it saw of later ones."
        ),
    ] = None
    member: Annotated[
        list[str],
        Parameter(
            metavar="NAME=URL", help="etcd: a member and its peer URL, for more than one; again for each of them."
        ),
    ] = field(default_factory=list)
    member_name: Annotated[str | None, Parameter(metavar="NAME", help="etcd: which of them this machine is.")] = None
    force_version: Annotated[
        bool, Parameter(help="etcd: also by a server or program that is older than what wrote the backup.")
    ] = False
    token: Annotated[
        str | None, Parameter(metavar="REF", help="k3s, RKE2: the server token of then, in place of the configured.")
    ] = None

    def options(self, tier: TierKind) -> dict[str, Any]:
        """As the tier understands them. Raises ``UsageError`` for what it has no use for."""
        if tier is not TierKind.ETCD:
            refuse(tier, {"--bump-revision": self.bump_revision, "--member": self.member,
                           "--member-name": self.member_name, "--token": self.token,
                           "--force-version": self.force_version})  # fmt: skip
            return {}
        return {
            "bump_revision": self.bump_revision,
            "members": list(self.member),
            "name": self.member_name,
            "force_version": self.force_version,
        }

    def choices(self) -> dict[str, Any]:
        """As ``open_app`` takes them. Raises ``UsageError``."""
        return {"server_token": values.given_secret("--token", self.token)}


def refuse(tier: TierKind, given: Mapping[str, object]) -> None:
    """Raise ``UsageError`` for any option that was given and means nothing for this tier."""
    for name, value in given.items():
        if value:
            raise UsageError(f"{name} means nothing for a backup of {tier.value}", hint="Nothing has been changed.")


@dataclass(frozen=True)
class Server:
    """Which server."""

    server: Annotated[
        str | None,
        Parameter(
            metavar="SERVER", help="Another server: HOST:PORT or postgresql://user@host:port. No password in it."
        ),
    ] = None
    password: Annotated[
        str | None, Parameter(metavar="REF", help="The password for --server: file:, env:, cmd: or secret:.")
    ] = None

    def choices(self) -> dict[str, Any]:
        """As ``open_app`` takes them. Raises ``UsageError``."""
        if self.password and not self.server:
            raise UsageError("--password goes with --server", hint="Passwords of configured servers are configured.")
        password = values.given_secret("--password", self.password)
        return {"destination": values.server("--server", self.server, password) if self.server else None}


Identity = Annotated[str | None, Parameter(metavar="REF", help="The age identity, in place of encryption.identity.")]


@dataclass(frozen=True)
class Where(Server):
    """Which server, and what is known of it beyond the configuration."""

    apps_stopped: Annotated[
        bool, Parameter(help="You have stopped the apps that use the database, and will start them.")
    ] = False
    identity: Identity = None

    def choices(self) -> dict[str, Any]:
        """As ``open_app`` takes them. Raises ``UsageError``."""
        identity = values.given_secret("--identity", self.identity)
        return {**super().choices(), "apps_stopped": self.apps_stopped, "identity": identity}


Confirm = Annotated[str | None, Parameter(metavar="NAME", help="The target's name, where nobody can type it.")]
EVERYTHING = What()
NO_WISHES = OfEtcd()
CONFIGURED_SERVER = Server()
CONFIGURED = Where()

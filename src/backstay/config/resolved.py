"""What the rest of the program sees of a target: every default filled in, plain data, no pydantic."""

from dataclasses import dataclass
from datetime import timedelta

from backstay.config.secrets import SecretRef
from backstay.core.retention import KeepPolicy


@dataclass(frozen=True)
class ResolvedCheck:
    """A query that gives one number, which must be within the bounds; at least one of them is set."""

    name: str
    sql: str
    at_least: float | None
    at_most: float | None


@dataclass(frozen=True)
class ResolvedDatabase:
    """One database with the tier's values and the defaults merged in.

    ``None`` means there is no such value: no schedule, no password of ours, no folder of programs given. ``prefix``
    has neither placeholders nor a slash at either end, and may be empty. ``compression`` is gzip or zstd.
    """

    name: str
    namespace: str
    store: str
    prefix: str
    schedule: str | None
    timezone: str
    keep: KeepPolicy
    apps: tuple[str, ...]
    host: str
    port: int
    user: str
    password: SecretRef | None
    database: str
    sslmode: str
    sslrootcert: str | None
    connect_timeout: timedelta
    lock_timeout: timedelta
    format: str
    workers: int | None
    proof: str
    compression: str
    level: int
    globals_passwords: bool
    bin: str | None
    rpo: timedelta | None
    rto: timedelta | None
    checks: tuple[ResolvedCheck, ...]


@dataclass(frozen=True)
class ResolvedEtcd:
    """The control plane with the defaults that need no look at the machine; ``None`` is left to the distribution."""

    flavor: str  # auto, k3s, rke2, kubeadm or etcd
    name: str
    schedule: str | None
    timezone: str
    keep: KeepPolicy
    store: str
    prefix: str
    snapshot_name: str
    compression: str  # zip or none
    endpoints: tuple[str, ...]
    ca_file: str | None
    cert_file: str | None
    key_file: str | None
    data_dir: str | None
    node: str | None
    service: str | None
    token: SecretRef | None
    server_files: bool
    spool: str | None
    bin: str | None
    rpo: timedelta | None
    rto: timedelta | None


@dataclass(frozen=True)
class ResolvedObjects:
    """One schedule of Kubernetes objects; ``None`` for what is included means all there is."""

    name: str
    schedule: str | None
    timezone: str
    keep: KeepPolicy
    store: str
    prefix: str
    include_namespaces: tuple[str, ...] | None
    exclude_namespaces: tuple[str, ...]
    include_resources: tuple[str, ...] | None
    exclude_resources: tuple[str, ...]
    selector: str | None
    cluster_scoped: bool | None
    rpo: timedelta | None
    rto: timedelta | None

"""``etcd``: the state of the cluster, and the servers that hold it."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from backstay.config.models.common import (
    Cron,
    Duration,
    FullPath,
    Keep,
    Model,
    Name,
    Prefix,
    Secret,
    TargetName,
    YesNo,
    matching,
)

FILE_START = r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?"
NODE = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
UNIT = r"[A-Za-z0-9_][A-Za-z0-9:_.@-]{0,246}"
ENDPOINT = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?/?", re.ASCII)
MAX_PORT = 65535
PRUNED = ("etcd-snapshot", "on-demand")  # by k3s: its scheduled snapshots, and those of `k3s etcd-snapshot save`


def _endpoint(value: str) -> str:
    if "@" in value:
        raise ValueError("must not hold credentials: etcd knows its clients by certificates")
    match = ENDPOINT.fullmatch(value)
    if match is None or not 0 < int(match["port"] or 1) <= MAX_PORT:
        raise ValueError(f"{value!r} is not an endpoint of etcd: write https://10.0.0.1:2379")
    return value.rstrip("/")


def _not_empty(value: tuple[str, ...]) -> tuple[str, ...]:
    """As ``min_length`` would, which also counts those that are not valid and have been told."""
    if not value:
        raise ValueError("must not be empty")
    return value


Endpoint = Annotated[
    str, AfterValidator(_endpoint), WithJsonSchema({"type": "string", "title": "URL", "pattern": "^https?://"})
]


def _apart(value: str) -> str:
    """Not to be mistaken for k3s's own, by k3s or by Backstay: each prunes what begins with its name."""
    if value.startswith(PRUNED):
        raise ValueError(f"{value!r} begins as k3s names its own snapshots: k3s would prune Backstay's")
    if any(own.startswith(f"{value}-") for own in PRUNED):
        raise ValueError(f"{value!r} also begins what k3s names its own snapshots: they would look like Backstay's")
    return value


FileStart = Annotated[
    str,
    AfterValidator(matching(FILE_START, "cannot begin the name of a snapshot: use lower-case letters, digits, '-'")),
    AfterValidator(_apart),
]
NodeName = Annotated[
    str,
    AfterValidator(matching(NODE, "is not the name of a node: use lower-case letters, digits, '.' and '-'")),
    WithJsonSchema({"type": "string", "title": "node", "pattern": f"^{NODE}$"}),
]
Unit = Annotated[
    str,
    AfterValidator(matching(UNIT, "is not the name of a systemd unit")),
    AfterValidator(lambda value: value.removesuffix(".service")),
    WithJsonSchema({"type": "string", "title": "systemd unit", "pattern": f"^{UNIT}$"}),
]


class LocalSnapshots(Model):
    """Snapshots that k3s or RKE2 takes by itself on each server: watched, never driven."""

    schedule: Cron | None = Field(default=None, description="When the servers take them.", examples=["0 */6 * * *"])
    keep: Keep = Field(default_factory=Keep, description="How many the servers keep.", examples=[{"count": 5}])


class Etcd(Model):
    """The state of the cluster. Backups of it run on a server of the control plane."""

    flavor: Literal["auto", "k3s", "rke2", "kubeadm", "etcd"] = Field(
        default="auto",
        description="What runs it; `auto` looks at the paths of this machine. k3s on SQLite (kine) is detected.",
    )
    name: TargetName = Field(default="control-plane", description="The target's name: `etcd/<name>`.")
    schedule: Cron | None = Field(default=None, description="When a snapshot is taken.", examples=["0 2 * * *"])
    keep: Keep = Field(
        default_factory=Keep, description="How long snapshots stay in the store.", examples=[{"days": 7}]
    )
    store: Name | None = Field(
        default=None, description="The store they go to. When not set: the first of `stores`.", examples=["main"]
    )
    prefix: Prefix = Field(default="etcd-snapshots", description="The folder in the store.")
    snapshot_name: FileStart = Field(
        default="backstay",
        description="Begins the names of snapshots: `<snapshot_name>-<node>-<unix seconds>.zip`. k3s prunes what "
        "begins with its own `etcd-snapshot-name`, so this must not.",
    )
    compression: Literal["zip", "none"] = Field(
        default="zip", description="How a snapshot is packed; k3s opens `zip` by itself, and nothing else."
    )
    endpoints: Annotated[tuple[Endpoint, ...], AfterValidator(_not_empty)] = Field(
        default=("https://127.0.0.1:2379",),
        description="Where etcd answers. Other members are found from the first that does.",
    )
    ca_file: FullPath | None = Field(
        default=None,
        description="The certificate of etcd's CA. When not set: where the distribution keeps it.",
        examples=["/etc/etcd/ca.crt"],
    )
    cert_file: FullPath | None = Field(
        default=None, description="The client's certificate, likewise.", examples=["/etc/etcd/client.crt"]
    )
    key_file: FullPath | None = Field(
        default=None, description="The client's key, likewise.", examples=["/etc/etcd/client.key"]
    )
    data_dir: FullPath | None = Field(
        default=None,
        description="The distribution's data folder. When not set: its default.",
        examples=["/var/lib/rancher/k3s"],
    )
    node: NodeName | None = Field(
        default=None,
        description="This machine's name in the cluster. When not set: its host name.",
        examples=["server-1"],
    )
    service: Unit | None = Field(
        default=None, description="The systemd unit. When not set: `k3s`, `rke2-server` or `etcd`.", examples=["k3s"]
    )
    token: Secret | None = Field(
        default=None,
        description="The server token of k3s or RKE2. When not set: `server/token` in the data folder.",
        examples=["file:/etc/backstay/k3s-token"],
    )
    server_files: YesNo = Field(
        default=True,
        description="Also back up what a restore needs beside the snapshot: the token, the configuration, manifests, "
        "names. Only done where `encryption.recipients` are set, since it holds secrets.",
    )
    spool: FullPath | None = Field(
        default=None,
        description="A folder on a disk with room for one snapshot, which lies there while it is proven. When not "
        "set: in Backstay's state folder.",
        examples=["/var/lib/backstay/spool"],
    )
    bin: FullPath | None = Field(
        default=None,
        description="A folder with `etcd` and `etcdutl`, or `k3s`. When not set: PATH is searched.",
        examples=["/usr/local/bin"],
    )
    rpo: Duration | None = Field(
        default=None, description="How old the newest backup may be. When not set: `slo.rpo`.", examples=["24h"]
    )
    rto: Duration | None = Field(
        default=None, description="How long a restore may take. When not set: `slo.rto`.", examples=["15m"]
    )
    local_snapshots: LocalSnapshots | None = Field(default=None, description="The servers' own snapshots.")

    @model_validator(mode="after")
    def _both_or_none(self) -> "Etcd":
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together: set both or none")
        return self

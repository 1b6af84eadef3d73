"""The files of a server that its database holds too, so that a restored database and the disk come to agree.

At each start k3s compares them with its bootstrap data (pkg/cluster/bootstrap.go, ReconcileBootstrapData). One that
differs and is older than the data is written anew; of one that differs and is newer k3s says that it is "newer than
datastore and could cause a cluster outage", and ends. After a restore that is any file that changed since the backup:
a rotated CA, ``cred/passwd`` after a new token, the encryption configuration without which the restored secrets cannot
be read; on a machine where k3s was installed anew it is all of them. So their times are set back, and nothing else:
those that are the same stay as they are, and what the data does not have stays on the disk.
"""

import os
from pathlib import Path

AUTHORITIES = ("server-ca", "client-ca", "request-header-ca", "etcd/server-ca", "etcd/peer-ca")
FILES = (
    *(f"tls/{name}.{end}" for name in AUTHORITIES for end in ("crt", "key")),
    "tls/service.key",
    "cred/passwd",
    "cred/ipsec.psk",
    "cred/encryption-config.json",
    "cred/encryption-state.json",
)  # config.ControlRuntimeBootstrap, and pkg/daemons/control/deps for the paths


def set_times_back(server: Path) -> int:
    """Make the files below ``<data dir>/server`` older than any backup; how many there were."""
    found = [path for name in FILES if (path := server / name).is_file()]
    for path in found:
        os.utime(path, (0, 0))
    return len(found)

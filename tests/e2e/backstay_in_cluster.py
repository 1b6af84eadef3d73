"""A namespace as a user has it: TimescaleDB and an S3 server behind Services, and a CronJob of Backstay's own image."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from tests.cluster.api import Object
from tests.cluster.node import Node
from tests.cluster.pods import has_ended, is_ready, pod

BACKSTAY = "backstay.test/backstay:1"
SEAWEED = "backstay.test/seaweed:1"
S3_PORT = 8333
POSTGRES_ID = 101  # of the account in Debian's folder; the group is another number
BACKSTAY_ID = 1000
START_SECONDS = 60.0
CONFIGURATION = """\
cluster: testbed
stores:
  main: {{url: "s3://backups", endpoint: "http://s3:8333", credentials: "file:/secrets/s3"}}
postgres:
  password: file:/secrets/password
  databases:
    plant: {{namespace: {namespace}, schedule: "* * * * *"}}
"""
POSTGRES = """\
set -e
bin=/usr/lib/postgresql/17/bin
export PGDATA=/data/cluster
[ -d "$PGDATA" ] || {
  $bin/initdb --username=postgres --pwfile=/secrets/password --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync
  echo 'host all all all scram-sha-256' >>$PGDATA/pg_hba.conf
}
exec $bin/postgres -c 'listen_addresses=*' -c unix_socket_directories= -c shared_preload_libraries=timescaledb \
  -c timescaledb.telemetry_level=off -c fsync=off
"""
SEAWEED_FLAGS = (
    "-dir=/data -ip=127.0.0.1 -ip.bind=0.0.0.0 -master.telemetry=false -master.volumeSizeLimitMB=256 -volume.max=100 "
    f"-filer -s3 -s3.config=/secrets/s3.json -s3.port={S3_PORT} -s3.port.iceberg=0 -s3.port.lance=0 -s3.iam=false "
    "-s3.autoCreateBucket=false"
)


class InCluster:
    """What is in ``namespace`` of ``node``, and Backstay run there."""

    def __init__(self, node: Node, namespace: str) -> None:
        self.node = node
        self.namespace = namespace
        self.core = f"/api/v1/namespaces/{namespace}"
        self.password = secrets.token_urlsafe(16)

    def start(self) -> None:
        """The Secret, the configuration, S3 and PostgreSQL; returns when both answer."""
        self._make("secrets", "backstay", stringData=self._secrets())
        self._make("configmaps", "backstay", data={"backstay.yaml": CONFIGURATION.format(namespace=self.namespace)})
        self._s3()
        self._postgres()
        for name in ("s3", "postgres-0"):
            self.node.api.wait(f"{self.core}/pods/{name}", is_ready, START_SECONDS)

    def run(self, name: str, script: str, files: Mapping[str, str] | None = None, seconds: float = 120.0) -> str:
        """What a script prints in a pod of Backstay's image; ``files`` are in /files. It must succeed."""
        self._make("configmaps", name, data=dict(files or {}))
        spec = self.pod_spec(script)
        spec["volumes"].append({"name": "files", "configMap": {"name": name}})
        spec["containers"][0]["volumeMounts"].append({"name": "files", "mountPath": "/files"})
        self._make("pods", name, spec=spec)
        done = self.node.api.wait(f"{self.core}/pods/{name}", has_ended, seconds)
        said = self.node.log(self.namespace, name)
        assert done["status"]["phase"] == "Succeeded", said
        return said

    def sql(self, name: str, statement: str, database: str = "plant") -> list[str]:
        """The lines of a query's answer, by ``psql`` from another pod over the network."""
        script = f"PGPASSWORD=$(cat /secrets/password) psql -XAtq -v ON_ERROR_STOP=1 -h postgres -U postgres {database}"
        return self.run(name, f"{script} -f /files/statement", {"statement": statement}).splitlines()

    def pod_spec(self, script: str) -> dict[str, Any]:
        """A pod of Backstay's image as a user would write it: no root, nothing but its Secret and its configuration."""
        made = pod(
            "",
            script,
            image=BACKSTAY,
            automountServiceAccountToken=False,
            securityContext={"runAsNonRoot": True, "runAsUser": BACKSTAY_ID, "fsGroup": BACKSTAY_ID},
            volumes=[
                {"name": "secrets", "secret": {"secretName": "backstay", "defaultMode": 0o440}},
                {"name": "configuration", "configMap": {"name": "backstay"}},
                {"name": "scratch", "emptyDir": {}},
            ],
        )
        container = made["spec"]["containers"][0]
        container["env"] = [{"name": "HOME", "value": "/scratch"}, {"name": "TMPDIR", "value": "/scratch"}]
        container["securityContext"] = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
        container["volumeMounts"] = [
            {"name": "secrets", "mountPath": "/secrets"},
            {"name": "configuration", "mountPath": "/etc/backstay"},
            {"name": "scratch", "mountPath": "/scratch"},
        ]
        return made["spec"]

    def cron_job(self, name: str, script: str) -> str:
        """A CronJob that runs every minute, never two at once; its path."""
        spec = {
            "schedule": "* * * * *",
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": self.pod_spec(script)}}},
        }
        path = f"/apis/batch/v1/namespaces/{self.namespace}/cronjobs"
        self.node.api.post(path, {"metadata": {"name": name}, "spec": spec})
        return f"{path}/{name}"

    def _secrets(self) -> dict[str, str]:
        access, secret = secrets.token_hex(10).upper(), secrets.token_urlsafe(30)
        keys = [{"accessKey": access, "secretKey": secret}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        return {
            "password": self.password,
            "s3": f"AWS_ACCESS_KEY_ID={access}\nAWS_SECRET_ACCESS_KEY={secret}\n",
            "s3.json": json.dumps({"identities": [{"name": "backstay", "credentials": keys, "actions": actions}]}),
        }

    def _s3(self) -> None:
        made = pod("s3", "", image=SEAWEED, volumes=_volumes())
        container = made["spec"]["containers"][0]
        container["command"] = ["/weed", "-logtostderr=true", "server", *SEAWEED_FLAGS.split()]
        container["readinessProbe"] = {"httpGet": {"path": "/healthz", "port": S3_PORT}, "periodSeconds": 1}
        container["volumeMounts"] = _mounts()
        self._make("pods", "s3", spec=made["spec"], labels={"app": "s3"})
        self._make("services", "s3", spec={"selector": {"app": "s3"}, "ports": [{"port": S3_PORT}]})

    def _postgres(self) -> None:
        spec = pod("", POSTGRES, image=BACKSTAY, volumes=_volumes(), restartPolicy="Always")["spec"]
        spec["securityContext"] = {"runAsUser": POSTGRES_ID, "fsGroup": POSTGRES_ID}
        container = spec["containers"][0]
        container["readinessProbe"] = {"tcpSocket": {"port": 5432}, "periodSeconds": 1}
        container["volumeMounts"] = _mounts()
        labels = {"app": "postgres"}
        template = {"metadata": {"labels": labels}, "spec": spec}
        body = {"serviceName": "postgres", "selector": {"matchLabels": labels}, "template": template}
        self.node.api.post(
            f"/apis/apps/v1/namespaces/{self.namespace}/statefulsets", {"metadata": {"name": "postgres"}, "spec": body}
        )
        self._make("services", "postgres", spec={"selector": labels, "ports": [{"port": 5432}]})

    def _make(self, plural: str, name: str, *, labels: Mapping[str, str] | None = None, **content: Any) -> Object:
        metadata = {"name": name, "labels": dict(labels or {})}
        return self.node.api.post(f"{self.core}/{plural}", {"metadata": metadata, **content})


def _volumes() -> list[Object]:
    return [
        {"name": "secrets", "secret": {"secretName": "backstay", "defaultMode": 0o444}},
        {"name": "data", "emptyDir": {}},
    ]


def _mounts() -> list[Object]:
    return [{"name": "secrets", "mountPath": "/secrets"}, {"name": "data", "mountPath": "/data"}]

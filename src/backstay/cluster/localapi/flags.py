"""How a scratch API server is told to reach nothing, and to leave objects as they are.

Its data may hold webhooks, aggregated APIs and conversion webhooks of a real cluster, whose addresses mean something on
this network. Everything that an API server dials but etcd goes by its egress selector (KEP 1281): ``cluster`` for
services, pods and nodes (aggregated APIs, webhooks given as a service, kubelets), ``controlplane`` for webhooks given
as a URL. Both lead to a socket that does not exist, so no connection to anywhere can begin. Admission plugins that
would ask such webhooks, or change what is created, are off as well.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from backstay.cluster.localetcd.server import HOST, ClientTls, ServerTls

KEPT_PLUGINS = {"NamespaceLifecycle"}  # refuses objects of namespaces that are not there, as any cluster does
# Large, for the services of any cluster; both families, for services that want both. Nothing is routed to them.
SERVICE_RANGES = "10.96.0.0/12,fd00:10:96::/108"
ISSUER = "https://backstay.invalid"  # of service account tokens that nobody asks for


def egress_configuration(nowhere: Path) -> str:
    """The file for --egress-selector-config-file; ``nowhere`` is a path at which there is no socket."""
    connection = {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": str(nowhere)}}}
    selections = [{"name": name, "connection": connection} for name in ("cluster", "controlplane")]
    kind = {"apiVersion": "apiserver.k8s.io/v1beta1", "kind": "EgressSelectorConfiguration"}
    return json.dumps(kind | {"egressSelections": selections}, indent=1)  # JSON is YAML


def kubeconfig(url: str, tls: ClientTls) -> str:
    """A kubeconfig for the one client that the server knows, with paths of its files."""
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "scratch", "cluster": {"server": url, "certificate-authority": str(tls.ca)}}],
        "users": [{"name": "drill", "user": {"client-certificate": str(tls.cert), "client-key": str(tls.key)}}],
        "contexts": [{"name": "scratch", "context": {"cluster": "scratch", "user": "drill"}}],
        "current-context": "scratch",
    }
    return json.dumps(content, indent=1)


def flags(
    *,
    folder: Path,
    port: int,
    tls: ServerTls,
    etcd: str,
    etcd_tls: ClientTls | None,
    prefix: str,
    plugins: Iterable[str],
    egress: Path,
) -> list[str]:
    """The arguments of kube-apiserver. ``prefix`` is where its objects are in etcd, ``plugins`` those of admission
    that run by default. Their meaning: Kubernetes' reference, "kube-apiserver"."""
    settings = {
        "cert-dir": str(folder),  # first: by it the guard knows the process
        "bind-address": HOST,
        "advertise-address": HOST,
        "secure-port": str(port),
        "tls-cert-file": str(tls.cert),
        "tls-private-key-file": str(tls.key),
        "client-ca-file": str(tls.ca),
        "anonymous-auth": "false",
        "authorization-mode": "RBAC",
        "etcd-servers": etcd,
        "etcd-prefix": prefix,
        "egress-selector-config-file": str(egress),
        "disable-admission-plugins": ",".join(name for name in plugins if name not in KEPT_PLUGINS),
        "endpoint-reconciler-type": "none",  # it would tell pods a loopback address
        "service-account-issuer": ISSUER,
        "service-account-key-file": str(tls.cert),
        "service-account-signing-key-file": str(tls.key),
        "service-cluster-ip-range": SERVICE_RANGES,
        "runtime-config": "api/beta=true",  # kinds that the cluster may have turned on
        "allow-privileged": "true",
        "profiling": "false",
        "watch-cache": "false",  # nobody watches; and it waits a minute for a kind of which it cannot read an object
    }
    if etcd_tls is not None:
        settings |= {"etcd-cafile": str(etcd_tls.ca)}
        settings |= {"etcd-certfile": str(etcd_tls.cert), "etcd-keyfile": str(etcd_tls.key)}
    return [f"--{name}={value}" for name, value in settings.items()]

"""What is left out, cleaned and changed, kind by kind."""

import copy

import pytest

from backstay.tiers.objects.change.kinds import change_kind, drop_node_ports
from backstay.tiers.objects.change.leave import reason_to_leave
from backstay.tiers.objects.change.maps import map_images, map_namespaces, map_storage_classes, mapped_image
from backstay.tiers.objects.change.selector import parse_selector
from backstay.tiers.objects.change.transform import Transform
from backstay.tiers.objects.restore.request import Options
from tests.tiers.objects.restoring import NAME_OF, owner, resource_of, stored

BATCH, DISCOVERY, SNAPSHOTS = "batch/v1", "discovery.k8s.io/v1", "snapshot.storage.k8s.io/v1"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Others:
    """What else is restored."""

    def __init__(self, *objects):
        self.objects = {
            (resource_of(body), body["metadata"].get("namespace", ""), body["metadata"]["name"]): body
            for body in objects
        }

    def has(self, resource, namespace, name):
        return (resource, namespace, name) in self.objects

    def read(self, resource, namespace, name):
        return self.objects.get((resource, namespace, name))

    def resource_of(self, api_version, kind):
        return NAME_OF.get((api_version, kind), "")


SERVICE = stored("Service", "web", "shop", spec={"selector": {"app": "web"}})
SET = stored("ReplicaSet", "web-1", "shop", api="apps/v1")
CRON = stored("CronJob", "nightly", "shop", api=BATCH)
TOKEN = "kubernetes.io/service-account-token"
ACCOUNT = {"kubernetes.io/service-account.name": "app"}

LEFT = [
    stored("Node", "n1"),
    stored("Event", "e", "shop"),
    stored("Lease", "l", "shop", api="coordination.k8s.io/v1"),
    stored("Pod", "done", "shop", status={"phase": "Succeeded"}),
    stored("Pod", "failed", "shop", status={"phase": "Failed"}),
    stored("Pod", "mirror", "shop", annotations={"kubernetes.io/config.mirror": "x"}),
    stored("Pod", "web-1-a", "shop", ownerReferences=[owner("ReplicaSet", "web-1")]),
    stored("Job", "done", "shop", api=BATCH, status={"completionTime": "2026-01-01T00:00:00Z"}),
    stored("Job", "failed", "shop", api=BATCH, status={"conditions": [{"type": "Failed", "status": "True"}]}),
    stored("Job", "now", "shop", api=BATCH, ownerReferences=[owner("CronJob", "nightly", BATCH)]),
    stored("Endpoints", "web", "shop"),
    stored("Endpoints", "kubernetes", "default"),
    stored("Service", "kubernetes", "default"),
    stored(
        "EndpointSlice",
        "web-1",
        "shop",
        api=DISCOVERY,
        labels={"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
    ),
    stored("Secret", "app-token-x7k2p", "shop", type=TOKEN, annotations=ACCOUNT),
    stored("ConfigMap", "kube-root-ca.crt", "shop"),
    stored("APIService", "v1.apps", api="apiregistration.k8s.io/v1", spec={}),
    stored("ClusterRole", "view", labels={"kubernetes.io/bootstrapping": "rbac-defaults"}),
    stored("PriorityClass", "system-node-critical", api="scheduling.k8s.io/v1"),
    stored(
        "FlowSchema",
        "system",
        api="flowcontrol.apiserver.k8s.io/v1",
        annotations={"apf.kubernetes.io/autoupdate-spec": "true"},
    ),
    stored(
        "PersistentVolume",
        "pvc-1",
        annotations={"pv.kubernetes.io/provisioned-by": "x"},
        spec={"persistentVolumeReclaimPolicy": "Delete"},
    ),
    stored("VolumeSnapshot", "before", "shop", api=SNAPSHOTS, spec={"source": {"persistentVolumeClaimName": "data"}}),
    stored("VolumeSnapshotContent", "snapcontent-1", api=SNAPSHOTS, spec={"source": {"volumeHandle": "vol-1"}}),
]
KEPT = [
    stored("Pod", "alone", "shop", status={"phase": "Running"}),
    stored("Pod", "orphan", "shop", ownerReferences=[owner("ReplicaSet", "not-here")]),
    stored("Job", "now", "shop", api=BATCH),
    stored("Endpoints", "by-hand", "shop"),
    stored("EndpointSlice", "by-hand", "shop", api=DISCOVERY),
    stored("Secret", "app-token", "shop", type=TOKEN, annotations=ACCOUNT),
    stored("Secret", "sealed", "shop", ownerReferences=[owner("ReplicaSet", "web-1")]),
    stored("ConfigMap", "settings", "shop"),
    stored("APIService", "v1.x", api="apiregistration.k8s.io/v1", spec={"service": {"name": "x"}}),
    stored("PersistentVolume", "nfs", spec={"persistentVolumeReclaimPolicy": "Delete"}),
    stored("Service", "kubernetes", "shop"),
    stored("VolumeSnapshot", "kept", "shop", api=SNAPSHOTS, spec={"source": {"volumeSnapshotContentName": "kept"}}),
    stored("VolumeSnapshotContent", "kept", api=SNAPSHOTS, spec={"source": {"snapshotHandle": "snap-1"}}),
]


@pytest.mark.parametrize("body", LEFT, ids=lambda body: f"{body['kind']}-{body['metadata']['name']}")
def test_left_out(body):
    assert reason_to_leave(resource_of(body), body, Others(SERVICE, SET, CRON))


@pytest.mark.parametrize("body", KEPT, ids=lambda body: f"{body['kind']}-{body['metadata']['name']}")
def test_restored(body):
    assert not reason_to_leave(resource_of(body), body, Others(SERVICE, SET, CRON))


def kind_changed(resource, body):
    """Changed, and the same when it is changed again."""
    once = change_kind(resource, copy.deepcopy(body))
    assert change_kind(resource, copy.deepcopy(once)) == once
    return once


def test_service_addresses():
    assert kind_changed("services", {"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}}) == {"spec": {}}
    headless = {"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}
    assert kind_changed("services", headless) == headless


@pytest.mark.parametrize(
    "metadata",
    [
        {"annotations": {LAST_APPLIED: '{"spec":{"ports":[{"port":80,"nodePort":30080}]}}'}},
        {
            "managedFields": [
                {"fieldsV1": {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:nodePort": {}}}}}}
            ]
        },
    ],
)
def test_node_ports_that_a_person_has_set_stay(metadata):
    ports = [{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 81, "nodePort": 30081}]
    body = {"metadata": metadata, "spec": {"ports": ports, "healthCheckNodePort": 30001}}
    drop_node_ports(body, all_of_them=False)
    assert body["spec"] == {"ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 81}]}


def test_a_manager_of_a_node_port_that_is_not_there_any_more():
    fields = {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:nodePort": {}}}}}
    body = {"metadata": {"managedFields": [{"fieldsV1": fields}]}, "spec": {"ports": [{"port": 80}]}}
    drop_node_ports(body, all_of_them=False)
    assert body["spec"] == {"ports": [{"port": 80}]}


def test_pods_lose_their_node_and_their_token():
    spec = {
        "nodeName": "n",
        "priority": 0,
        "ephemeralContainers": [],
        "serviceAccountName": "app",
        "volumes": [{"name": "app-token-x7k2p"}, {"name": "data"}],
        "containers": [{"name": "c", "volumeMounts": [{"name": "app-token-x7k2p"}, {"name": "data"}]}],
    }
    assert kind_changed("pods", {"spec": spec})["spec"] == {
        "serviceAccountName": "app",
        "volumes": [{"name": "data"}],
        "containers": [{"name": "c", "volumeMounts": [{"name": "data"}]}],
    }


def test_jobs_lose_the_selector_that_was_made_for_them():
    labels = {"controller-uid": "1", "batch.kubernetes.io/controller-uid": "1", "app": "x"}
    body = {
        "metadata": {"labels": dict(labels)},
        "spec": {"selector": {}, "template": {"metadata": {"labels": labels}}},
    }
    found = kind_changed("jobs.batch", body)
    assert found == {"metadata": {"labels": {"app": "x"}}, "spec": {"template": {"metadata": {"labels": {"app": "x"}}}}}
    by_hand = {"spec": {"manualSelector": True, "selector": {"a": "b"}}}
    assert kind_changed("jobs.batch", by_hand) == by_hand


def test_claims_forget_their_binding():
    annotations = {"pv.kubernetes.io/bind-completed": "yes", "volume.kubernetes.io/selected-node": "n"}
    assert kind_changed("persistentvolumeclaims", {"metadata": {"annotations": annotations}}) == {"metadata": {}}


def test_accounts_and_tokens():
    account = {"metadata": {"name": "app"}, "secrets": [{"name": "app-token-x7k2p"}, {"name": "app-docker"}]}
    assert kind_changed("serviceaccounts", account)["secrets"] == [{"name": "app-docker"}]
    token = {
        "type": TOKEN,
        "metadata": {"annotations": {"kubernetes.io/service-account.uid": "1"}},
        "data": {"token": "x"},
    }
    assert kind_changed("secrets", token) == {"type": TOKEN, "metadata": {}}


def test_old_forms_that_the_api_does_not_take_any_more():
    kind = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
    assert kind_changed(kind, {"webhooks": [{"sideEffects": "Some"}]}) == {"webhooks": [{"sideEffects": "None"}]}
    definition = {"spec": {"preserveUnknownFields": True, "versions": [{"name": "v1"}]}}
    found = kind_changed("customresourcedefinitions.apiextensions.k8s.io", definition)
    assert found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-preserve-unknown-fields"]


def test_namespaces_of_bindings_and_volumes():
    binding = stored("RoleBinding", "b", "a", subjects=[{"kind": "ServiceAccount", "name": "x", "namespace": "a"}])
    map_namespaces("rolebindings.rbac.authorization.k8s.io", binding, {"a": "b"})
    assert binding["metadata"]["namespace"] == binding["subjects"][0]["namespace"] == "b"
    volume = stored("PersistentVolume", "v", spec={"claimRef": {"namespace": "a", "name": "c"}})
    map_namespaces("persistentvolumes", volume, {"a": "b"})
    assert volume["spec"]["claimRef"]["namespace"] == "b"


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ("validatingwebhookconfigurations.admissionregistration.k8s.io", ("webhooks", 0, "clientConfig", "service")),
        ("mutatingwebhookconfigurations.admissionregistration.k8s.io", ("webhooks", 0, "clientConfig", "service")),
        (
            "customresourcedefinitions.apiextensions.k8s.io",
            ("spec", "conversion", "webhook", "clientConfig", "service"),
        ),
        ("apiservices.apiregistration.k8s.io", ("spec", "service")),
    ],
)
def test_namespaces_of_the_services_that_answer(resource, path):
    service = {"namespace": "a", "name": "hook"}
    body = service
    for key in reversed(path):
        body = [body] if key == 0 else {key: body}
    body["metadata"] = {"name": "x"}
    map_namespaces(resource, body, {"a": "b"})
    assert service == {"namespace": "b", "name": "hook"}
    map_namespaces(resource, {"metadata": {"name": "x"}}, {"a": "b"})  # one that is called by its URL


def test_storage_classes_of_stateful_sets():
    body = {"spec": {"volumeClaimTemplates": [{"spec": {"storageClassName": "fast"}}]}}
    map_storage_classes("statefulsets.apps", body, {"fast": "slow"})
    assert body["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "slow"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("docker.io/library/nginx:1", "mirror.local/library/nginx:1"),
        ("docker.io.evil/nginx", "docker.io.evil/nginx"),
        ("docker.io/team/app@sha256:1", "other.local/app@sha256:1"),
        ("quay.io/x", "quay.io/x"),
        ("docker.io", "mirror.local"),
    ],
)
def test_images(image, expected):
    assert mapped_image(image, {"docker.io": "mirror.local", "docker.io/team": "other.local"}) == expected


def test_images_of_cron_jobs():
    body = {"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"image": "a/b"}]}}}}}}
    map_images("cronjobs.batch", body, {"a": "c"})
    assert body["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"] == [{"image": "c/b"}]


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a=b", {}, False),
        ("a!=b", {}, True),
        ("a in (b, c),d", {"a": "c", "d": ""}, True),
        ("a notin (b)", {"a": "b"}, False),
        ("!a", {"a": ""}, False),
    ],
)
def test_selectors(text, labels, matches):
    assert parse_selector(text).matches(labels) is matches


def source_of(kind, name):
    return {"kind": kind, "name": name}


@pytest.mark.parametrize(
    ("source", "stays"),
    [
        (source_of("PersistentVolumeClaim", "other"), False),
        (source_of("VolumeSnapshot", "gone"), False),
        (source_of("VolumeSnapshot", "before"), False),  # it is left out itself
        (source_of("VolumeSnapshot", "kept"), True),
        (source_of("ReplicationDestination", "nas"), True),
    ],
)
def test_what_a_claim_was_filled_from(source, stays):
    spec = {"dataSource": source, "dataSourceRef": source, "storageClassName": "fast"}
    claim = stored("PersistentVolumeClaim", "data", "shop", spec=copy.deepcopy(spec))
    made = Transform(Options(), Others(*LEFT, *KEPT))("persistentvolumeclaims", claim)
    assert made.body["spec"] == (spec if stays else {"storageClassName": "fast"})

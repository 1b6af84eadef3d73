"""What is left out of an object that is to be applied, and what must stay."""

import copy
import json

import pytest

from backstay.tiers.etcd.kube.crd import to_v1
from backstay.tiers.etcd.kube.decode import decode
from backstay.tiers.etcd.kube.fit import LAST_APPLIED, OF_THE_SERVER, for_apply
from tests.tiers.etcd.kube.stored import lines, one, value


def written(name):
    return decode(value(one(name))).object


@pytest.mark.parametrize("line", lines("written"), ids=lambda line: line["name"])
def test_every_kind(line):
    before = copy.deepcopy(line["json"])
    fitted = for_apply(line["json"])
    assert line["json"] == before, "the given object was changed"
    assert "status" not in fitted.object
    assert not {*OF_THE_SERVER, "ownerReferences"} & fitted.object["metadata"].keys()
    assert fitted.object["kind"] == before["kind"]
    assert fitted.object["metadata"].get("name") == before["metadata"].get("name")
    again = for_apply(fitted.object)
    assert again.object == fitted.object
    assert again.left_out == ()


def test_metadata_keeps_what_people_wrote():
    fitted = for_apply(written("v1 Pod everything"))
    about = fitted.object["metadata"]
    assert about["labels"] == {"app.kubernetes.io/name": "cardboard", "empty": ""}
    assert list(about["annotations"]) == ["note"]
    assert about["finalizers"] == ["example.com/hold"]
    assert "metadata.uid" in fitted.left_out
    assert any("being deleted" in note for note in fitted.notes)
    assert any("ReplicaSet cardboard-7f9c" in note and "garbage collector" in note for note in fitted.notes)


def test_an_annotation_map_that_is_empty_then_is_left_out_too():
    assert "annotations" not in for_apply(written("apps/v1 Deployment cardboard")).object["metadata"]


def test_a_pod_may_run_anywhere():
    spec = for_apply(written("v1 Pod everything")).object["spec"]
    assert not {"nodeName", "priority", "ephemeralContainers"} & spec.keys()
    assert spec["priorityClassName"] == "normal"
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_a_service_gets_a_new_address_and_keeps_its_node_ports():
    fitted = for_apply(written("v1 Service web"))
    spec = fitted.object["spec"]
    assert "clusterIP" not in spec
    assert "clusterIPs" not in spec
    assert [port.get("nodePort") for port in spec["ports"]] == [30080, 30443, None]
    assert any("10.43.12.7" in note for note in fitted.notes)
    assert any("Node ports" in note for note in fitted.notes)


def test_a_headless_service_stays_headless():
    spec = for_apply(written("v1 Service headless")).object["spec"]
    assert spec["clusterIP"] == "None"
    assert spec["clusterIPs"] == ["None"]


@pytest.mark.parametrize(
    "about",
    [
        {"annotations": {LAST_APPLIED: json.dumps({"spec": {"clusterIP": "10.43.0.10"}})}},
        {"managedFields": [{"manager": "deploy@node", "fieldsV1": {"f:spec": {"f:clusterIP": {}}}}]},
    ],
)
def test_an_address_that_was_asked_for_is_kept(about):
    spec = {"clusterIP": "10.43.0.10", "clusterIPs": ["10.43.0.10"]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns", **about}, "spec": spec}
    assert for_apply(service).object["spec"] == spec


@pytest.mark.parametrize("applied", ["{", "[]", "null", '{"spec":null}', '{"spec":3}', 7])
def test_a_broken_annotation_asks_for_nothing(applied):
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"annotations": {LAST_APPLIED: applied}, "managedFields": [None, {"fieldsV1": 1}]},
        "spec": {"clusterIP": "10.43.0.10"},
    }
    assert "clusterIP" not in for_apply(service).object["spec"]


def test_a_claim_keeps_its_volume_and_not_the_proof_of_the_binding():
    fitted = for_apply(written("v1 PersistentVolumeClaim data-db-0"))
    assert fitted.object["spec"]["volumeName"] == "pvc-0c1d"
    assert set(fitted.object["metadata"]["annotations"]) == {"volume.kubernetes.io/storage-provisioner"}
    assert any("Released" in note for note in fitted.notes)


def test_a_volume_waits_for_its_claim_by_name():
    claim = for_apply(written("v1 PersistentVolume pvc-0c1d")).object["spec"]["claimRef"]
    assert claim == {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "data-db-0", "namespace": "cardboard"}


def test_a_job_gets_a_new_selector():
    job = for_apply(written("batch/v1 Job once")).object
    assert "selector" not in job["spec"]
    assert job["spec"]["template"]["metadata"]["labels"] == {"mine": "1"}
    assert "labels" not in job["metadata"]


def test_a_job_with_a_selector_of_its_own_keeps_it():
    job = written("batch/v1 Job once")
    job["spec"]["manualSelector"] = True
    assert for_apply(job).object["spec"] == job["spec"]


def test_a_secret_keeps_its_values_but_for_a_token_that_is_void():
    assert for_apply(written("v1 Secret cardboard")).object["data"] == written("v1 Secret cardboard")["data"]
    token = for_apply(written("v1 Secret cardboard-token-abcde")).object
    assert "token" not in token["data"]
    assert token["metadata"]["annotations"] == {"kubernetes.io/service-account.name": "cardboard"}


def test_a_namespace_is_only_its_name_and_labels():
    assert "spec" not in for_apply(written("v1 Namespace cardboard")).object


def test_claim_templates_have_no_status():
    template = for_apply(written("apps/v1 StatefulSet db")).object["spec"]["volumeClaimTemplates"][0]
    assert "status" not in template
    assert template["spec"]["storageClassName"] == "longhorn"


@pytest.mark.parametrize("line", lines("definitions"), ids=lambda line: line["name"])
def test_definitions_become_v1_as_go_converts_them(line):
    assert to_v1(line["stored"]) == line["v1"]
    assert to_v1(line["v1"]) is line["v1"]
    assert for_apply(line["stored"]).object["apiVersion"] == "apiextensions.k8s.io/v1"


def test_an_old_definition_with_no_list_of_versions():
    spec = {"group": "g", "version": "v1", "names": {"plural": "as"}, "scope": "Cluster"}
    old = {"apiVersion": "apiextensions.k8s.io/v1beta1", "kind": "CustomResourceDefinition", "spec": spec}
    found = for_apply(old)
    assert found.object["spec"]["versions"] == [{"name": "v1", "served": True, "storage": True}]
    assert any("x-kubernetes-preserve-unknown-fields" in note for note in found.notes)


@pytest.mark.parametrize("kind", ["Pod", "Service", "Job", "StatefulSet", "PersistentVolume", "Secret", "Namespace"])
@pytest.mark.parametrize("part", [None, 3, "x", [], {}])
def test_objects_of_no_shape_at_all(kind, part):
    """A custom program may have stored anything; what is left out then is what can be."""
    versions = {"Job": "batch/v1", "StatefulSet": "apps/v1"}
    obj = {"apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": part, "spec": part, "data": part}
    assert for_apply(obj).object["kind"] == kind
    for_apply(obj | {"metadata": {"annotations": part, "ownerReferences": part, "finalizers": part}})


def test_finalizers_that_are_no_names_stay_as_they_are():
    odd = [{}, ["orphan"], "foregroundDeletion"]
    mine = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a", "finalizers": odd}}
    assert for_apply(mine).object["metadata"]["finalizers"] == [{}, ["orphan"]]


def test_a_custom_resource_of_the_same_kind_is_not_a_pod():
    mine = {"apiVersion": "example.com/v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"nodeName": "n"}}
    assert for_apply(mine).object == mine

"""The plan of a restore: counts of everything, nothing changed, and a run that then does just that."""

import json

import pytest

from backstay.core.errors import ObjectInvalid, UsageError
from tests.tiers.objects import fake_cluster as fakes
from tests.tiers.objects.restoring import Restoring, established, stored
from tests.tiers.objects.test_restore import WIDGETS, shop


@pytest.fixture
def restoring(tmp_path):
    found = Restoring(tmp_path, shop())
    established(found.cluster, WIDGETS)
    return found


def crowd(cluster):
    """One object the same, one that differs."""
    cluster.put(fakes.NAMESPACES, "shop", labels={"team": "a"})
    cluster.put(fakes.CONFIGMAPS, "settings", "shop", data={"a": "mine"})
    cluster.put(fakes.SERVICES, "web", "shop", spec={"ports": [{"port": 80}], "clusterIP": "10.9.9.9"})


def test_it_changes_nothing(restoring):
    crowd(restoring.cluster)
    before = restoring.state()
    restoring.plan(existing="recreate")
    assert restoring.state() == before
    assert not [call for call in restoring.cluster.calls if call[0] == "delete"]


@pytest.mark.parametrize("policy", ["skip", "update", "recreate"])
def test_the_run_does_what_the_plan_says(restoring, policy):
    crowd(restoring.cluster)
    plan = restoring.plan(existing=policy)
    plan = type(plan)(**{**vars(plan), "details": json.loads(json.dumps(plan.details))})
    outcome = restoring.run(plan=plan)
    counts, facts = plan.details["counts"], outcome.facts
    assert (counts["create"], counts["change"], counts["recreate"], counts["unchanged"], counts["skip"]) == (
        facts["created"],
        facts["updated"],
        facts["recreated"],
        facts["unchanged"],
        facts["skipped"],
    )
    assert counts["conflict"] == facts["failed"] == 0


def test_into_an_empty_cluster_all_is_created(restoring):
    plan = restoring.plan()
    assert plan.details["counts"]["create"] == 11
    assert any("could not be tried" in note for note in plan.notes)
    assert [step.name for step in plan.steps][:3] == ["fetch and check", fakes.CRDS.name, "namespaces"]


def test_changed_fields_are_shown(restoring):
    crowd(restoring.cluster)
    lines = restoring.plan(existing="update").details["objects"]
    [line] = [line for line in lines if line["action"] == "change"]
    assert line["fields"] == [{"path": "data.a", "before": "mine", "after": "1"}]


def test_what_secrets_hold_is_never_shown(restoring):
    restoring.cluster.put(fakes.SECRETS, "token", "shop", data={"x": "c2VjcmV0", "y": "c2VjcmV0"})
    text = json.dumps(restoring.plan(existing="update").details)
    assert "c2VjcmV0" not in text
    assert "eA==" not in text
    assert '"data.x"' in text


def test_what_the_server_refuses_is_said(restoring):
    crowd(restoring.cluster)
    restoring.cluster.fail("create", "pods", ObjectInvalid("a webhook says no"))
    plan = restoring.plan()
    assert plan.details["counts"]["conflict"] == 1
    assert "Refused: pods shop/alone: a webhook says no" in plan.notes


@pytest.mark.parametrize(
    ("policy", "confirm"), [("skip", ""), ("update", "objects/daily"), ("recreate", "objects/daily")]
)
def test_what_is_there_is_only_touched_with_a_word(restoring, policy, confirm):
    crowd(restoring.cluster)
    assert restoring.plan(existing=policy).confirm == confirm


def test_only_additions_need_none(restoring):
    assert restoring.plan(existing="update").confirm == ""


def test_lines_are_bounded_and_counts_are_not(tmp_path):
    many = [stored("ConfigMap", f"c{number}", "shop", data={}) for number in range(2500)]
    details = Restoring(tmp_path, many).plan().details
    assert len(details["objects"]) == 2000
    assert details["objects_total"] == details["counts"]["create"] == 2500


def test_only_the_namespaces_asked_are_listed(restoring):
    crowd(restoring.cluster)
    restoring.plan(include_namespaces=["shop"])
    assert ("list", "configmaps", "shop", "") in restoring.cluster.calls


@pytest.mark.parametrize(
    "options",
    [
        {"existing": "replace"},
        {"unheard": 1},
        {"names": ["web"]},
        {"selector": "a==b==c"},
        {"namespace_map": {"a": ""}},
        {"wait_seconds": -1},
        {"include_namespaces": "shop"},
        {"modifiers": [{"conditions": {}}]},
        {"replicas_zero": "yes"},
    ],
)
def test_what_is_asked_wrongly_is_refused_before_anything(restoring, options):
    with pytest.raises(UsageError):
        restoring.plan(**options)
    assert not restoring.cluster.calls

"""Velero's resource modifiers, and the two kinds of patches they are made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.errors import UsageError
from backstay.tiers.objects.change.jsonpatch import PatchError, TestFailed, apply_patch, merge_patch
from backstay.tiers.objects.change.modifiers import modify, parse_rules, rules_in


def deployment(**labels):
    return {
        "metadata": {"name": "web-1", "namespace": "a", "labels": labels},
        "spec": {"replicas": 3, "list": ["x", "y"]},
    }


def changed(body, *rules, namespace="a"):
    return modify(parse_rules(rules), "deployments.apps", namespace, body)


def rule(*patches, **conditions):
    return {"conditions": {"groupResource": "deployments.apps", **conditions}, "patches": list(patches)}


def replace(path, value):
    return {"operation": "replace", "path": path, "value": value}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0),
        ('"0"', "0"),
        ("true", True),
        ("null", None),
        ('{"a": 1}', {"a": 1}),
        ("[1]", [1]),
        ("slow", "slow"),
        ("", ""),
        ("1.5", 1.5),
        (7, 7),
    ],
)
def test_values_are_text_read_as_velero_does(value, expected):
    assert changed(deployment(), rule(replace("/spec/replicas", value)))["spec"]["replicas"] == expected


@pytest.mark.parametrize(
    ("conditions", "fits"),
    [
        ({}, True),
        ({"namespaces": ["a"]}, True),
        ({"namespaces": ["b"]}, False),
        ({"groupResource": "*.apps"}, True),
        ({"groupResource": "pods"}, False),
        ({"resourceNameRegex": "^web-.*"}, True),
        ({"resourceNameRegex": "^db-.*"}, False),
        ({"labelSelector": {"matchLabels": {"app": "web"}}}, True),
        ({"labelSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}}, False),
        ({"matches": [{"path": "/spec/replicas", "value": "3"}]}, True),
        ({"matches": [{"path": "/spec/replicas", "value": "4"}]}, False),
        ({"matches": [{"path": "/spec/none", "value": "4"}]}, False),
    ],
)
def test_conditions(conditions, fits):
    found = changed(deployment(app="web"), rule(replace("/spec/replicas", "0"), **conditions))
    assert (found["spec"]["replicas"] == 0) is fits


def test_every_operation():
    found = changed(
        deployment(),
        rule(
            {"operation": "add", "path": "/spec/list/-", "value": "z"},
            {"operation": "copy", "from": "/spec/replicas", "path": "/spec/copied"},
            {"operation": "move", "from": "/spec/replicas", "path": "/spec/moved"},
            {"operation": "remove", "path": "/spec/list/0"},
            {"operation": "test", "path": "/spec/moved", "value": "3"},
            {"operation": "add", "path": "/metadata/labels/a~1b", "value": "c"},
        ),
    )
    assert found["spec"] == {"list": ["y", "z"], "copied": 3, "moved": 3}
    assert found["metadata"]["labels"] == {"a/b": "c"}


def test_a_test_that_fails_undoes_its_rule_alone():
    found = changed(
        deployment(),
        rule(replace("/spec/replicas", "1"), {"operation": "test", "path": "/spec/list/0", "value": "no"}),
        rule(replace("/spec/list/0", "yes")),
    )
    assert found["spec"] == {"replicas": 3, "list": ["yes", "y"]}


def test_a_patch_that_does_not_fit_is_an_error():
    with pytest.raises(PatchError, match="/spec/none"):
        changed(deployment(), rule({"operation": "remove", "path": "/spec/none"}))


def test_merge_patches_in_yaml_and_json():
    given = {"conditions": {"groupResource": "deployments.apps"}}
    texts = ["spec:\n  replicas: 1\n  list: null", '{"metadata": {"labels": {"a": "b"}}}']
    found = changed(deployment(), {**given, "mergePatches": [{"patchData": text} for text in texts]})
    assert found["spec"] == {"replicas": 1}
    assert found["metadata"]["labels"] == {"a": "b"}


TEXT = """
version: v1
resourceModifierRules:
- conditions: {groupResource: deployments.apps, namespaces: [a]}
  patches: [{operation: replace, path: /spec/replicas, value: "0"}]
"""


def test_a_file_and_the_config_map_of_velero():
    indented = "".join(f"    {line}\n" for line in TEXT.splitlines())
    config_map = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\ndata:\n  rules.yaml: |\n{indented}"
    assert rules_in(TEXT) == rules_in(config_map)
    assert changed(deployment(), *rules_in(TEXT))["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([{"conditions": {"groupResource": "pods"}, "strategicPatches": [{"patchData": "{}"}]}], "strategicPatches"),
        ([{"conditions": {}}], "groupResource"),
        ([{"conditions": {"groupResource": "pods", "nameRegex": "x"}}], "nameRegex"),
        ([rule({"operation": "put", "path": "/a"})], "operation"),
        ([rule({"operation": "move", "path": "/a"})], "from"),
        ([rule(resourceNameRegex="(")], "regular expression"),
        ([{"conditions": {"groupResource": "pods"}, "mergePatches": [{"patchData": "["}]}], "YAML"),
    ],
)
def test_rules_that_cannot_be(rules, words):
    with pytest.raises(UsageError, match=words):
        parse_rules(rules)


@pytest.mark.parametrize("text", ["version: v2", "resourceModifierRules: []", "version: v1", "[", "kind: ConfigMap"])
def test_files_that_cannot_be(text):
    with pytest.raises(UsageError):
        rules_in(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_what_was_added_can_be_removed(document, value):
    body = {"a": document}
    added = apply_patch(body, [{"op": "add", "path": "/b~1~0", "value": value}])
    assert added == {"a": document, "b/~": value}
    assert apply_patch(added, [{"op": "remove", "path": "/b~1~0"}]) == body


@given(JSON, JSON)
def test_a_merge_is_the_same_twice(document, patch):
    once = merge_patch(document, patch)
    assert merge_patch(once, patch) == once


def test_true_is_not_one():
    with pytest.raises(TestFailed):
        apply_patch({"a": True}, [{"op": "test", "path": "/a", "value": 1}])

"""Objects made comparable: a restore changes nothing that counts."""

import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.tiers.objects.change.transform import Ready, Transform
from backstay.tiers.objects.normalise import normalise, same
from backstay.tiers.objects.restore.request import Options
from tests.tiers.objects.restoring import NAME_OF, owner, stored
from tests.tiers.objects.test_change import Others

WORDS = st.sampled_from(["a", "b", "web", "kubernetes.io/x", "controller-uid", "pod-template-hash", "job-name"])
MAPS = st.dictionaries(WORDS, st.sampled_from(["1", "2", ""]), max_size=3)
POD = st.fixed_dictionaries(
    {},
    optional={
        "nodeName": st.just("n1"),
        "priority": st.just(0),
        "replicas": st.integers(0, 3),
        "clusterIP": st.sampled_from(["None", "10.0.0.1"]),
        "clusterIPs": st.just(["10.0.0.1"]),
        "ports": st.lists(
            st.fixed_dictionaries({"port": st.integers(1, 9)}, optional={"nodePort": st.just(3)}), max_size=2
        ),
        "volumeName": st.just("pv"),
        "selector": MAPS,
        "template": st.fixed_dictionaries({"metadata": st.fixed_dictionaries({}, optional={"labels": MAPS})}),
        "containers": st.just([{"name": "c", "volumeMounts": [{"name": "kube-api-access-x"}]}]),
        "volumes": st.just([{"name": "kube-api-access-x"}]),
        "claimRef": st.just({"namespace": "shop", "name": "c", "uid": "1"}),
        "preserveUnknownFields": st.booleans(),
    },
)


@st.composite
def objects(draw):
    api, kind = draw(st.sampled_from(sorted(NAME_OF)))
    fields = {key: draw(MAPS) for key in ("labels", "annotations") if draw(st.booleans())}
    if draw(st.booleans()):
        fields["finalizers"] = draw(st.lists(st.sampled_from(["x/y", "kubernetes.io/pvc-protection", "orphan"])))
    body = stored(kind, "one", "shop", api=api, spec=draw(POD), status={"phase": "Running"}, **fields)
    return NAME_OF[api, kind], body


@settings(max_examples=400)
@given(objects())
def test_what_is_restored_is_what_was_backed_up(found):
    resource, body = found
    made = Transform(Options(), Others(), "20261126-113000")(resource, copy.deepcopy(body))
    if isinstance(made, Ready):
        assert normalise(resource, made.body) == normalise(resource, body)


@given(objects())
def test_twice_is_the_same_as_once(found):
    resource, body = found
    once = normalise(resource, body)
    assert normalise(resource, once) == once


@given(objects())
def test_the_object_given_stays_as_it_is(found):
    resource, body = found
    before = copy.deepcopy(body)
    normalise(resource, body)
    assert body == before


def test_what_a_person_wrote_counts():
    one, other = (stored("ConfigMap", "c", "shop", data={"a": value}) for value in "12")
    assert not same("configmaps", one, other)


def test_owners_count_by_name_and_not_by_uid():
    one, other = (stored("Secret", "s", ownerReferences=[{**owner("Widget", "w"), "uid": uid}]) for uid in "12")
    assert normalise("secrets", one) == normalise("secrets", other)
    assert normalise("secrets", one) != normalise("secrets", stored("Secret", "s"))
    assert same("secrets", one, stored("Secret", "s"))

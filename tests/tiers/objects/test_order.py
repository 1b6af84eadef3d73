"""The order of kinds."""

import random

from hypothesis import given
from hypothesis import strategies as st

from backstay.tiers.objects.restore.order import FIRST, GUARDS, LAST, LATE, REST, waves

KINDS = (*FIRST, *LATE, *GUARDS, "deployments.apps", "widgets.example.com", "ingresses.networking.k8s.io")


def test_the_whole_order():
    mixed = random.Random(1).sample(KINDS, len(KINDS))
    found = waves(mixed)
    assert [wave.name for wave in found] == [*FIRST, REST, *LATE, LAST]
    assert found[len(FIRST)].resources == ("deployments.apps", "ingresses.networking.k8s.io", "widgets.example.com")


def test_webhooks_are_the_very_last():
    last = waves(KINDS)[-1].resources
    assert last[0] == "apiservices.apiregistration.k8s.io"
    assert all("webhook" in name for name in last[-2:])


@given(st.sets(st.sampled_from(KINDS) | st.from_regex(r"[a-z]{3,8}\.[a-z]{2,5}\.io", fullmatch=True)))
def test_every_kind_is_in_one_wave(kinds):
    found = [name for wave in waves(kinds) for name in wave.resources]
    assert sorted(found) == sorted(kinds)

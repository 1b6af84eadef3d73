"""The sentence about a restore that was cut short."""

from datetime import UTC, datetime

import pytest

from backstay.core.model import Target, TierKind
from backstay.report.values import CutShort
from backstay.report.words import attention

NOW = datetime(2026, 11, 26, 3, tzinfo=UTC)


@pytest.mark.parametrize(("node", "begun"), [("server-1", "20261126-020000 on server-1"), ("", "20261126-020000")])
def test_it_names_the_machine_that_can_go_on_with_it(node, begun):
    target = Target(TierKind.ETCD, "control-plane")
    one = CutShort(target, "20261126-020000", "etcd/control-plane@x", NOW, "", running=False, node=node)
    (line,) = attention(NOW, None, [], [], [one], [])
    assert line.text.startswith(f"A restore of etcd/control-plane begun {begun} was cut short; ")
    assert line.command == "backstay restore etcd/control-plane --resume"

"""Which distribution this machine is a server of."""

import os

import pytest

from backstay.tiers.etcd.controlplane import SIGNS, Flavor, detect
from tests.fixtures.account import not_root


@pytest.mark.parametrize("flavor", list(Flavor))
def test_each_is_known_by_a_path_of_its_own(tmp_path, flavor):
    (tmp_path / SIGNS[flavor]).mkdir(parents=True)
    assert detect(tmp_path) is flavor


def test_no_sign_is_no_guess(tmp_path):
    assert detect(tmp_path) is None


def test_k3s_comes_before_the_etcd_that_it_may_have_beside(tmp_path):
    for flavor in (Flavor.ETCD, Flavor.K3S):
        (tmp_path / SIGNS[flavor]).mkdir(parents=True)
    assert detect(tmp_path) is Flavor.K3S


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else for a moment")
def test_a_folder_that_is_closed_counts_as_there(tmp_path):
    for folder in [tmp_path, *list(tmp_path.parents)[:2]]:  # those that pytest made
        folder.chmod(0o755)
    (tmp_path / "var/lib/etcd/member").mkdir(parents=True)
    (tmp_path / "var/lib/etcd").chmod(0o700)
    with not_root():
        assert detect(tmp_path) is Flavor.ETCD

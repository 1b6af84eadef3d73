"""The jobs over one store, with k3s on SQLite as the control plane."""

from tests.tiers.etcd.world import EtcdWorld as KineWorld

__all__ = ["KineWorld"]

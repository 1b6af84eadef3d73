"""The etcd tier: the state of a cluster, from etcd itself or from k3s's SQLite, proven and brought back."""

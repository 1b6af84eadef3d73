"""The snapshot file of etcd, read and written with no etcd at hand: a bbolt database and a checksum of 32 bytes."""

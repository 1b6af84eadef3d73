"""The restore half of the etcd tier: what would be done (``plan``), doing it (``run``), joining again (``rejoin``)."""

"""etcd asked over its own protocol: members and their state, keys, and the stream of a snapshot into a file."""

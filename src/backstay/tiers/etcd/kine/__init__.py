"""k3s without etcd: kine keeps what etcd would in one table of a SQLite file."""

"""A Kubernetes API server of one's own on this machine, over an etcd of one's own: what drills restore into."""

"""An etcd of one's own on this machine: scratch for drills, and what the demo and the tests run on."""

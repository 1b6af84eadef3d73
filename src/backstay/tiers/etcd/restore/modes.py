"""The four ways in which a restore is done; ``Plan.details["mode"]`` of this tier."""

RESET = "reset"  # k3s and RKE2 do it by themselves: a cluster reset
SWAP = "swap"  # etcd as a service: a new data folder takes the place of the old one
MANIFESTS = "manifests"  # kubeadm: the same, with the static pods taken away meanwhile
ASIDE = "aside"  # only into a folder that was named; nothing is stopped
PATH_WORD = "{snapshot}"  # in the commands of a plan, until the file has its name

"""The doors to other machines and programs: subprocesses as byte streams, and the cluster."""

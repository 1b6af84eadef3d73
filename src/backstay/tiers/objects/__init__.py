"""Kubernetes objects, in Velero's own format: captured, proven, restored in waves."""

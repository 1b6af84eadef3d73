"""What happens to an object between the backup and the cluster: pure functions over plain JSON."""

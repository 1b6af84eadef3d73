"""Objects of a backup back into a cluster: planned by reading only, then done wave by wave."""

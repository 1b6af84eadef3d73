"""Velero's archive of objects: a tar with a JSON file for each, written fast and read with distrust."""

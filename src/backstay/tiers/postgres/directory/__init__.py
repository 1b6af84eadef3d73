"""Format ``directory``: a ``pg_dump -Fd`` directory, written by many workers at once and loaded by many."""

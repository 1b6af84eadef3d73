"""Where artifacts live: the ``Store`` protocol, its backends, the wrappers around them, and the byte pipeline."""

"""The one truth for command line, web, metrics and alerts."""

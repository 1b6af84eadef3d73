"""Embedded real servers with real data, and a guided loss and recovery on them."""

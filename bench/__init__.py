"""The benchmarks (``make bench``): Backstay beside the scripts it replaces, on embedded real servers of one machine.

What is measured, by which rules, and how to read it: docs/benchmarks.md.
"""

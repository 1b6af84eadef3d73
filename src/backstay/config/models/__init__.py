"""The only definition of the options, one file for each section; ``root.Config`` is the whole of ``backstay.yaml``.

Reference page, JSON Schema and the starter file are generated from here. Descriptions are therefore written for the
person who edits the file, and end with a full stop.
"""

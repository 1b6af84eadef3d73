"""``backstay.yaml``: the models that define every option, loading, secret references.

Nothing is imported here, so that a command that needs no configuration does not pay for it: pydantic comes in with
``config.models``, which ``config.load.load`` imports when it is called.
"""

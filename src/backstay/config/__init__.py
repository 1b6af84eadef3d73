"""``backstay.yaml``: the models that define every option, loading, secret references."""

"""Objects of Kubernetes out of etcd's values, with no cluster and no Kubernetes at hand.

``objects`` reads keys and lists, ``decode`` makes of a value what the API server would print as JSON, ``manifest``
writes it as YAML for ``kubectl apply``. The numbers and names of fields are in ``fields.json``, which
``tools/kubernetes_fields.py`` takes as facts from the modules of Kubernetes that it names within.
"""

"""``python -m bench.plainlist KUBECONFIG``: every object listed in pages, decoded and thrown away; nothing else.

The least that any backup through the API has to do. Over one connection, as fast as the server answers.
"""

import json
import ssl
import sys
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import yaml

PAGE = 500


def main(kubeconfig: str) -> int:
    """List what discovery names; how many objects there were."""
    connection, headers = connect(kubeconfig)

    def get(path: str) -> Any:
        connection.request("GET", path, headers=headers)
        return json.loads(connection.getresponse().read())

    total = 0
    for path in _paths(get):
        token = ""
        while True:
            page = get(f"{path}?limit={PAGE}" + (f"&continue={quote(token)}" if token else ""))
            total += len(page["items"])
            token = page["metadata"].get("continue", "")
            if not token:
                break
    return total


def connect(kubeconfig: str) -> tuple[HTTPSConnection, dict[str, str]]:
    """A connection to the first cluster of the file as its first user, and the headers each request needs."""
    found = yaml.safe_load(Path(kubeconfig).read_text())
    cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
    context = ssl.create_default_context(cafile=cluster["certificate-authority"])
    where = urlsplit(cluster["server"])
    headers = {"Authorization": f"Bearer {user['token']}", "Content-Type": "application/json"}
    return HTTPSConnection(where.hostname or "", where.port, context=context), headers


def _paths(get: Any) -> list[str]:
    groups = [f"/apis/{group['preferredVersion']['groupVersion']}" for group in get("/apis")["groups"]]
    return [
        f"{base}/{resource['name']}"
        for base in ["/api/v1", *groups]
        for resource in get(base)["resources"]
        if {"list", "create"} <= set(resource["verbs"]) and "/" not in resource["name"]
    ]


if __name__ == "__main__":
    print(main(sys.argv[1]))

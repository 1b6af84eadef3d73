"""``python -m bench.plaincreate KUBECONFIG NAMESPACE COUNT THREADS``: parallel requests, nothing else.

The least that any restore through the API has to do.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from bench.kubernetes import configmaps
from bench.plainlist import connect


def main(kubeconfig: str, namespace: str, count: int, threads: int) -> int:
    """Create them. Raises ``RuntimeError`` when one is refused."""
    connection, headers = connect(kubeconfig)
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    connection.request("POST", "/api/v1/namespaces", json.dumps(space), headers)
    connection.getresponse().read()

    def work(number: int) -> int:
        link, head = connect(kubeconfig)
        made = 0
        for body in islice(configmaps(count, namespace), number, None, threads):
            link.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", json.dumps(body), head)
            answer = link.getresponse()
            answer.read()
            if answer.status != 201:
                raise RuntimeError(f"{answer.status} {answer.reason}")
            made += 1
        link.close()
        return made

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads)))


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))

"""The node that tests run pods on is a real one, and leaves nothing behind, however it ends."""

import os
import signal
import subprocess
import sys
import time
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from backstay.cluster.processes import command_line
from tests.cluster import init
from tests.cluster.api import ApiError
from tests.cluster.network import SERVICES
from tests.cluster.node import Node, sweep
from tests.cluster.pods import is_ready, pod, run

ROOT = Path(__file__).parents[2]
# Starts a node with a pod on it, says so, and then waits to be killed.
OWNER = """
import time
from tests.cluster.node import Node
from tests.cluster.pods import pod
node = Node().start()
path = "/api/v1/namespaces/default/pods"
node.api.post(path, pod("sleeper", "sleep 3600"))
node.api.wait(path + "/sleeper", lambda found: found["status"]["phase"] == "Running")
print(node.folder, flush=True)
time.sleep(300)
"""


def test_a_pod_runs_and_its_log_is_read(node, node_namespace):
    said = "echo hello from $(hostname); sleep 1; echo and more >&2; exit 3"  # two pipes keep no order of their own
    done = run(node, node_namespace, pod("hello", said))
    assert done["status"]["phase"] == "Failed"
    assert done["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert node.log(node_namespace, "hello") == "hello from hello\nand more\n"


def test_a_secret_is_mounted(node, node_namespace):
    secret = {"metadata": {"name": "login"}, "stringData": {"password": "not-a-secret"}}
    node.api.post(f"/api/v1/namespaces/{node_namespace}/secrets", secret)
    made = pod("reader", "cat /login/password")
    made["spec"]["volumes"] = [{"name": "login", "secret": {"secretName": "login"}}]
    made["spec"]["containers"][0]["volumeMounts"] = [{"name": "login", "mountPath": "/login"}]
    assert run(node, node_namespace, made)["status"]["phase"] == "Succeeded"
    assert node.log(node_namespace, "reader") == "not-a-secret"


def test_a_pod_over_its_memory_is_killed_and_that_is_reported(node, node_namespace):
    made = pod("greedy", "dd if=/dev/zero of=/dev/null bs=200M count=1")
    made["spec"]["containers"][0]["resources"] = {"limits": {"memory": "30Mi"}}
    done = run(node, node_namespace, made)
    state = done["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (state["reason"], state["exitCode"]) == ("OOMKilled", 137)


def test_a_service_answers_by_its_name(node, node_namespace):
    core = f"/api/v1/namespaces/{node_namespace}"
    server = pod("web", "exec podtool serve :8080 'it is me'")
    server["metadata"]["labels"] = {"app": "web"}
    server["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    node.api.post(f"{core}/pods", server)
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
    address = node.api.post(f"{core}/services", {"metadata": {"name": "web"}, "spec": spec})["spec"]["clusterIP"]
    node.api.wait(f"{core}/pods/web", is_ready)
    # kube-proxy hears of a pod that is ready a moment later.
    for number, host in enumerate(("web", f"web.{node_namespace}.svc.cluster.local", address)):
        done = run(node, node_namespace, pod(f"client-{number}", f"podtool get http://{host}/ 10"))
        assert (done["status"]["phase"], node.log(node_namespace, f"client-{number}")) == ("Succeeded", "it is me\n")
    assert ip_address(address) in ip_network(SERVICES)


def test_a_name_that_is_not_there_does_not_resolve(node, node_namespace):
    name = f"absent.{node_namespace}.svc.cluster.local."
    done = run(node, node_namespace, pod("client", f"podtool get http://{name}/ 0"))
    assert done["status"]["phase"] == "Failed"
    assert f"lookup {name} on 10.42.0.1:53: no such host" in node.log(node_namespace, "client")


def test_nothing_outside_is_reached(node, node_namespace):
    done = run(node, node_namespace, pod("client", "podtool get http://192.0.2.1/ 0"))
    assert done["status"]["phase"] == "Failed"
    assert "dial tcp 192.0.2.1:80" in node.log(node_namespace, "client")


def test_a_cron_job_fires(node, node_namespace):
    template = {"spec": pod("", "echo fired")["spec"]}
    spec = {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}}
    batch = f"/apis/batch/v1/namespaces/{node_namespace}"
    node.api.post(f"{batch}/cronjobs", {"metadata": {"name": "minutely"}, "spec": spec})
    jobs = node.api.wait(
        f"{batch}/jobs", lambda found: any(job["status"].get("succeeded") for job in found["items"]), 90
    )
    assert jobs["items"][0]["metadata"]["ownerReferences"][0]["name"] == "minutely"
    [made, *_] = node.api.get(f"/api/v1/namespaces/{node_namespace}/pods")["items"]
    assert node.log(node_namespace, made["metadata"]["name"]) == "fired\n"


def test_an_image_is_made_of_a_folder(node, node_namespace, tmp_path):
    for place in ("bin", "etc"):
        (tmp_path / place).mkdir()
    (tmp_path / "bin/sh").write_bytes((node.folder / "tools/bin/busybox").read_bytes())
    (tmp_path / "bin/sh").chmod(0o755)
    node.import_image("backstay.test/mine:1", tmp_path, environment={"COLOUR": "green"})
    made = pod("mine", "echo $COLOUR")
    made["spec"]["containers"][0]["image"] = "backstay.test/mine:1"
    assert run(node, node_namespace, made)["status"]["phase"] == "Succeeded"
    assert node.log(node_namespace, "mine") == "green\n"


def test_the_api_server_tells_users_apart_here_too(node):
    with pytest.raises(ApiError, match="403 Forbidden"):
        node.api_of("nobody").get("/api/v1/nodes")


def test_nothing_is_left_when_it_stops(node):  # the fixture says whether one can run at all
    before = links()
    with Node() as made:
        path = "/api/v1/namespaces/default/pods"
        made.api.post(path, pod("sleeper", "sleep 3600"))
        made.api.wait(f"{path}/sleeper", lambda found: found["status"]["phase"] == "Running")
        running = descendants(os.getpid(), str(made.folder))
        assert init.cgroups_of(made.folder.name)
    assert any("sleep 3600" in line for line in running.values())
    assert any("containerd-shim" in line for line in running.values())
    assert left(running, made.folder) == []
    assert links() == before


@pytest.mark.parametrize("both", [False, True], ids=["owner killed", "owner and guard killed"])
def test_nothing_is_left_when_its_owner_is_killed(node, both):
    before = links()
    guard = f"{sys.executable} -I -S {init.__file__}"
    owner = subprocess.Popen([sys.executable, "-c", OWNER], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with owner:
        try:
            folder = Path(owner.stdout.readline().strip())
            running = descendants(owner.pid, str(folder))
            assert any("sleep 3600" in line for line in running.values())
            [first] = [pid for pid, line in running.items() if line.startswith(guard)]
        finally:
            owner.send_signal(signal.SIGKILL)
            if both:
                os.kill(first, signal.SIGKILL)
    if both:
        time.sleep(1)
        sweep()  # as the start of the next node does
    deadline = time.monotonic() + 30
    while left(running, folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left(running, folder) == []
    assert links() == before


def has_succeeded(job):
    return job["status"].get("succeeded", 0) > 0


def descendants(pid, word):
    """The processes below the child of ``pid`` whose command line has this word: id and command line."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    below = {each for each, parent in parents.items() if parent == pid and word in command_line(each)}
    while more := {each for each, parent in parents.items() if parent in below} - below:
        below |= more
    return {each: command_line(each) for each in below}


def left(running, folder):
    """What is there yet of a node: processes, mounts, cgroups, files."""
    processes = [line for pid, line in running.items() if line and command_line(pid) == line]
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if folder.name in line]
    files = [folder] if folder.exists() else []
    return [*processes, *mounts, *init.cgroups_of(folder.name), *files]


def links():
    """The machine's own network devices and named network namespaces."""
    return [sorted(place.iterdir()) for place in (Path("/sys/class/net"), Path("/run/netns")) if place.exists()]

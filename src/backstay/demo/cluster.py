"""The demo on a real Kubernetes, which is that of the tests: it is compiled from a checkout of the repository."""

import subprocess
import sys
from pathlib import Path

from backstay.core.errors import ToolMissing

ROOT = Path(__file__).parents[3]
MODULE = "tests.cluster.demo"


def run_cluster(folder: Path) -> int:
    """Run it below ``folder``; its exit code. Raises ``ToolMissing`` where there is no checkout."""
    if not (ROOT / "tests/cluster/demo.py").is_file():
        raise ToolMissing(
            "the demo on a real Kubernetes is compiled from the repository, and this is an installed package",
            hint="Clone the repository and run there, as root: make demo-cluster",
        )
    return subprocess.run([sys.executable, "-m", MODULE, str(folder.absolute())], cwd=ROOT, check=False).returncode

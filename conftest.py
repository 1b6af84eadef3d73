"""Real servers as fixtures; each starts once a session, when the first test asks for it."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # inherited from a shell that runs this in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = [
    "tests.fixtures.stores",
    "tests.fixtures.postgres",
    "tests.fixtures.control_plane",
    "tests.fixtures.kube_apiserver",
]

"""Real servers as fixtures; each starts once a session, when the first test asks for it."""

pytest_plugins = [
    "tests.fixtures.stores",
    "tests.fixtures.postgres",
    "tests.fixtures.control_plane",
    "tests.fixtures.kube_apiserver",
]

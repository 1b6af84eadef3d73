"""Real servers as fixtures; each starts once a session, when the first test asks for it."""

pytest_plugins = ["tests.fixtures.stores", "tests.fixtures.postgres"]

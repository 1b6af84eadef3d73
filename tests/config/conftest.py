"""Short ways to load a text, and to get at what is wrong with it."""

from pathlib import Path

import pytest

from backstay.config.load import parse
from backstay.core.errors import ConfigError

MINIMAL = "cluster: home\nstores:\n  main: {url: s3://home-backups}\n"


@pytest.fixture
def minimal():
    """Three lines that are a valid configuration; texts of a test follow them, from line 4 on."""
    return MINIMAL


@pytest.fixture
def configured():
    """The ``Config`` in the minimal text and what follows it."""

    def load(text, env=None):
        return parse(MINIMAL + text, Path("backstay.yaml"), env or {}).config

    return load


@pytest.fixture
def complaint():
    """The ``ConfigError`` that a whole text raises."""

    def load(text, env=None):
        with pytest.raises(ConfigError) as caught:
            parse(text, Path("backstay.yaml"), env or {})
        return caught.value

    return load

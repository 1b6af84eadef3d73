"""Values of etcd for tests: those that Go wrote, and ones made by hand."""

import base64
import json
from functools import cache
from pathlib import Path

from backstay.tiers.etcd.kube.envelope import PROTOBUF_MAGIC
from backstay.tiers.etcd.wire import message

OBJECTS = Path(__file__).parent / "objects"


@cache
def lines(name):
    """The documents of one file."""
    return tuple(json.loads(line) for line in (OBJECTS / f"{name}.jsonl").read_text().splitlines())


def value(line):
    """The bytes that etcd holds."""
    return base64.b64decode(line["proto"])


def one(name, file="written"):
    """The line of one object, ``v1 Pod everything``."""
    return next(line for line in lines(file) if line["name"] == name)


def unknown(api_version, kind, body, *, encoding=b"", content_type=b""):
    """``body`` in the envelope that etcd has it in."""
    about = message((1, api_version.encode()), (2, kind.encode()))
    return PROTOBUF_MAGIC + message((1, about), (2, body), (3, encoding), (4, content_type))


def meta(name="a", namespace="n"):
    """An ObjectMeta with no more than its names."""
    return message((1, name.encode()), (3, namespace.encode()))

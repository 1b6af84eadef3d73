"""JSON and CBOR as values in etcd and within objects: read with limits, since what is read is not trusted."""

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

from backstay.core.errors import Undecodable
from backstay.tiers.etcd.kube import cbor
from backstay.tiers.etcd.kube.envelope import CBOR_MAGIC

MAX_DEPTH = cbor.MAX_DEPTH


def load(data: bytes) -> Any:
    """A document in JSON, or in CBOR by its first bytes. Raises ``Undecodable``."""
    return cbor.loads(data) if data.startswith(CBOR_MAGIC) else load_json(data)


def load_json(data: bytes) -> Any:
    """A JSON document, no deeper than ``MAX_DEPTH`` and without the numbers that JSON lacks. Raises ``Undecodable``."""
    try:
        value = json.loads(data, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Undecodable("a part is not JSON") from error
    check_depth(value)
    return value


def check_depth(value: Any) -> None:
    """Raises ``Undecodable`` for what is nested more than ``MAX_DEPTH`` deep."""
    layer, depth = [value], 0
    while layer:
        if depth > MAX_DEPTH:
            raise Undecodable("the object is nested too deeply")
        layer = [inner for outer in layer for inner in _within(outer)]
        depth += 1


def _within(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

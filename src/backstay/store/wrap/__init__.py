"""Stores around a store: retries, read-only, metered, throttled. They compose; ``inner`` leads one step in."""

from backstay.store.wrap.base import Wrapper, drop_folder, sweep, unfinished, unwrapped
from backstay.store.wrap.metered import Metered, Usage
from backstay.store.wrap.readonly import ReadOnly
from backstay.store.wrap.retrying import Retrying
from backstay.store.wrap.throttled import Throttled

__all__ = [
    "Metered",
    "ReadOnly",
    "Retrying",
    "Throttled",
    "Usage",
    "Wrapper",
    "drop_folder",
    "sweep",
    "unfinished",
    "unwrapped",
]

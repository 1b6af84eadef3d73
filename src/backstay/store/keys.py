"""What every backend asks before it acts: may this key exist, and can the store keep this promise."""

from datetime import datetime

from backstay.core.errors import StoreError, UsageError
from backstay.store.base import Caps, check_key


def is_key(key: str) -> bool:
    """Whether a name found in a store can be the key of an object; lone surrogates (broken UTF-8) cannot."""
    try:
        check_key(key).encode()
    except (UsageError, UnicodeEncodeError):
        return False
    return True


def check_put(caps: Caps, key: str, *, create: bool, match: str | None, lock_until: datetime | None) -> None:
    """Raise ``UsageError`` for a put that contradicts itself, ``StoreError`` for a lock the store cannot hold."""
    check_key(key)
    if create and match is not None:
        raise UsageError("a put cannot ask for a new key and for a matching one")
    if lock_until is None:
        return
    if lock_until.tzinfo is None:
        raise UsageError("the date of an object lock needs a time zone")
    if not caps.object_lock:
        raise StoreError(
            f"{key} was to be locked, and this store does not lock objects",
            hint="Use a bucket with object lock and say so in the store's settings, or ask for no lock.",
        )

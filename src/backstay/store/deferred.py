"""A store that is opened when it is first used: one whose secret is missing must not stop work on another."""

import threading
from collections.abc import Callable

from backstay.store.base import Store
from backstay.store.wrap.base import Wrapper


class Deferred(Wrapper):
    """A ``Store``; ``open_store`` is called once, at the first use, and its errors come out of that use."""

    def __init__(self, url: str, open_store: Callable[[], Store]) -> None:
        self._url = url
        self._open = open_store
        self._opened: Store | None = None
        self._lock = threading.Lock()

    @property
    def inner(self) -> Store:  # type: ignore[override] # read-only here: it is made, not given
        """The store itself, opened."""
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def describe(self) -> str:
        """The configured URL, known without opening."""
        return self._url

    def close(self) -> None:
        """Close the store; one that was never used has nothing to give back."""
        if self._opened is not None:
            self._opened.close()

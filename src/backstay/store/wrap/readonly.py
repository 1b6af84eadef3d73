"""A store that nothing can be written to: for verifying, restoring from a bare machine, and the web."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NoReturn

from backstay.core.errors import Denied
from backstay.core.model import EMPTY
from backstay.store.base import ObjectInfo
from backstay.store.wrap.base import Wrapper


class ReadOnly(Wrapper):
    """Raises ``Denied`` for every change, before the inner store hears of it."""

    def put(
        self,
        key: str,
        chunks: Iterable[bytes],  # noqa: ARG002 - the contract's shape
        *,
        create: bool = False,  # noqa: ARG002
        match: str | None = None,  # noqa: ARG002
        lock_until: datetime | None = None,  # noqa: ARG002
        metadata: Mapping[str, str] = EMPTY,  # noqa: ARG002
    ) -> ObjectInfo:
        """Refuse; no chunk is taken."""
        self._refuse(f"write {key}")

    def delete(self, keys: Iterable[str]) -> None:
        """Refuse, unless there is nothing to delete."""
        for key in keys:
            self._refuse(f"delete {key}")

    def sweep(self, before: datetime, prefix: str) -> int:  # noqa: ARG002
        """Refuse."""
        self._refuse("remove unfinished uploads")

    def drop_folder(self, folder: str) -> None:
        """Refuse."""
        self._refuse(f"remove the folder {folder}")

    def _refuse(self, what: str) -> NoReturn:
        raise Denied(
            f"cannot {what}: {self.describe()} is open for reading only",
            hint="Nothing was changed. This action does not write to the store by design; run one that does.",
        )

"""Folders of this machine as stores: where files at hand are read from."""

from pathlib import Path

from backstay.app import open_store
from backstay.cli.session import Session
from backstay.jobs.localfile import OpenFolder
from backstay.store.base import Store


def folder_opener(session: Session) -> OpenFolder:
    """Folders as stores, opened as the configured ones are."""
    from backstay.config.models.stores import Store as StoreConfig

    def opener(folder: Path) -> Store:
        return open_store(StoreConfig(url=f"file://{folder}"), session.env, session.warn_once)

    return opener

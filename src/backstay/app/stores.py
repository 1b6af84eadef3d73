"""The stores of the configuration, opened with retries and limits around them."""

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from backstay.config.secrets import resolve_keys
from backstay.core.errors import StoreError
from backstay.store.base import Store
from backstay.store.deferred import Deferred

if TYPE_CHECKING:
    from backstay.config.models.stores import Store as StoreConfig
    from backstay.store.s3 import S3Options

ACCESS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
OPTIONAL_KEYS = ("AWS_SESSION_TOKEN", "AWS_ENDPOINTS")
RETRIES = 5


def open_store(config: "StoreConfig", env: Mapping[str, str], warn: Callable[[str], None]) -> Store:
    """The store as configured, with retries and the bandwidth limit around it. Raises ``SecretError``."""
    from backstay.store.wrap import Retrying, Throttled

    store: Store = _s3(config, env, warn) if config.url.startswith("s3://") else _directory(config)
    if config.bandwidth_limit:
        store = Throttled(store, config.bandwidth_limit)
    return Retrying(store, attempts=RETRIES)


def make_store(config: "StoreConfig", env: Mapping[str, str], warn: Callable[[str], None]) -> bool:
    """Make the bucket or the folder of a store; ``False`` when it was there. Raises ``StoreError``, ``SecretError``."""
    if config.bucket:
        from backstay.store.s3 import S3Store

        with closing(S3Store(s3_options(config, env, warn))) as store:
            return store.bucket.create()
    folder = Path(config.path)
    there = folder.is_dir()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder {folder} cannot be made: {error.strerror}",
            hint="Make it yourself, for the user backups run as.",
        ) from error
    return not there


def _s3(config: "StoreConfig", env: Mapping[str, str], warn: Callable[[str], None]) -> Store:
    from backstay.store.s3 import S3Store

    return S3Store(s3_options(config, env, warn))


def s3_options(config: "StoreConfig", env: Mapping[str, str], warn: Callable[[str], None]) -> "S3Options":
    """What the S3 backend needs of one configured store; secrets are read now. Raises ``SecretError``."""
    from backstay.store.s3 import S3Options

    keys: dict[str, str] = {}
    if config.credentials is not None:
        keys = resolve_keys(config.credentials, ACCESS_KEYS, optional=OPTIONAL_KEYS, env=env, warn=warn)
    lock = config.object_lock
    return S3Options(
        bucket=config.bucket,
        prefix=config.prefix,
        region=config.region or env.get("AWS_REGION") or "us-east-1",
        endpoint_url=config.endpoint or keys.get("AWS_ENDPOINTS"),
        path_style=config.path_style,
        ca_file=config.ca_file,
        access_key_id=keys.get("AWS_ACCESS_KEY_ID"),
        secret_access_key=keys.get("AWS_SECRET_ACCESS_KEY"),
        session_token=keys.get("AWS_SESSION_TOKEN"),
        sse=config.sse,
        kms_key_id=config.kms_key,
        storage_class=config.storage_class,
        tags=config.tags,
        conditional=config.conditional_writes,
        object_lock=lock is not None,
        lock_mode="COMPLIANCE" if lock and lock.mode == "compliance" else "GOVERNANCE",
    )


def _directory(config: "StoreConfig") -> Store:
    from backstay.store.directory import DirectoryStore

    return DirectoryStore(Path(config.path))


def deferred(config: "StoreConfig", env: Mapping[str, str], warn: Callable[[str], None]) -> Deferred:
    url = config.url if config.url.endswith("/") else f"{config.url}/"
    return Deferred(url, lambda: open_store(config, env, warn))

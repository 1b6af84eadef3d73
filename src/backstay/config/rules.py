"""What one section demands of another, and what is allowed but worth a word.

Checked after the models, which see one value at a time.
"""

from collections.abc import Iterator

from backstay.config.models.root import Config
from backstay.config.problems import Fault, Path, did_you_mean
from backstay.config.resolved import ResolvedDatabase, ResolvedEtcd, ResolvedObjects
from backstay.core.retention import KeepPolicy
from backstay.core.units import listed


def faults(config: Config) -> list[Fault]:
    """Everything that makes a configuration of valid parts invalid as a whole."""
    stores = list(_unknown_stores(config)) + list(_same_stores(config))
    if stores:
        return stores  # the rules below look databases up by their store
    return [*_shared_files(config), *_in_velero_folder(config)]


def warnings(config: Config) -> list[str]:
    """What ``backstay check`` should point out: valid, but perhaps not meant."""
    databases = config.postgres_databases()
    targets: dict[str, ResolvedDatabase | ResolvedEtcd | ResolvedObjects] = {
        f"postgres/{name}": database for name, database in databases.items()
    }
    targets |= {f"objects/{name}": schedule for name, schedule in config.resolved_objects().items()}
    etcd = config.resolved_etcd()
    if etcd is not None:
        targets[f"etcd/{etcd.name}"] = etcd
    found = []
    kept = [name for name, target in targets.items() if target.keep == KeepPolicy()]
    if kept:
        found.append(f"{listed(kept)}: without a `keep` rule every backup is kept for good")
    unscheduled = [name for name, target in targets.items() if target.schedule is None]
    if unscheduled:
        found.append(f"{listed(unscheduled)}: without a `schedule` nothing can say when a backup is late")
    if etcd is not None and etcd.flavor != "etcd" and etcd.server_files and not config.encryption.recipients:
        found.append(
            "etcd: without `encryption.recipients` the servers' token, certificates and files are not backed up: they "
            "hold the keys of the cluster. Keep them somewhere else: without its token no snapshot of k3s opens"
        )
    if config.objects is not None and not config.objects.schedules:
        found.append("objects: without `schedules` nothing of the cluster's objects is backed up")
    found += [
        f"stores.{name}: the endpoint is plain http: whoever is on the way can read and change what is sent"
        for name, store in config.stores.items()
        if store.endpoint and store.endpoint.startswith("http://") and not _is_loopback(store.endpoint)
    ]
    return found


def _is_loopback(endpoint: str) -> bool:
    return endpoint.removeprefix("http://").startswith(("127.", "localhost", "[::1]"))


def _unknown_stores(config: Config) -> Iterator[Fault]:
    named: list[tuple[Path, str | None]] = [(("postgres", "store"), config.postgres.store)]
    for name, database in config.postgres.databases.items():
        named.append((("postgres", "databases", name, "store"), database.store))
    for section in ("etcd", "objects"):
        tier = getattr(config, section)
        named.append(((section, "store"), tier.store if tier else None))
    for path, store in named:
        if store is not None and store not in config.stores:
            yield Fault(path, f"there is no store `{store}`", did_you_mean(store, config.stores))


def _same_stores(config: Config) -> Iterator[Fault]:
    seen: dict[tuple[str, str], str] = {}
    for name, store in config.stores.items():
        place = (store.endpoint or "", store.url.rstrip("/"))
        if place in seen:
            message = f"is the same place as `stores.{seen[place]}`"
            yield Fault(("stores", name, "url"), message, "Two catalogs cannot share a place: remove one.")
        seen.setdefault(place, name)


def _shared_files(config: Config) -> Iterator[Fault]:
    """Names are keys and so differ, but a disk may not tell upper from lower case."""
    seen: dict[tuple[str, str, str], str] = {}
    for name, database in config.postgres_databases().items():
        files = (database.store, database.prefix.casefold(), name.casefold())
        if files in seen:
            message = f"its files cannot be told from those of `{seen[files]}` where case does not count"
            hint = "Give it another name or another prefix."
            yield Fault(("postgres", "databases", name), message, hint)
        seen.setdefault(files, name)


def _in_velero_folder(config: Config) -> Iterator[Fault]:
    if config.objects is None:
        return
    if not config.objects.prefix:
        hint = "Velero refuses a place with folders it does not know."
        yield Fault(("objects", "prefix"), "must not be empty", hint)
        return
    if config.objects.engine == "velero" and config.encryption.recipients:
        hint = "Take `engine: backstay`, or leave `encryption.recipients` out: Velero encrypts nothing."
        yield Fault(("objects", "engine"), "`velero` cannot be had with `encryption.recipients`", hint)
    store = config.objects.store or config.default_store
    etcd = config.resolved_etcd()
    if etcd is not None and etcd.store == store and _is_within(etcd.prefix, config.objects.prefix):
        message = f"the folder {etcd.prefix} is Velero's own (`objects.prefix`)"
        yield Fault(("etcd", "prefix"), message, "Velero refuses what it does not know there.")
    for name, database in config.postgres_databases().items():
        if database.store == store and _is_within(database.prefix, config.objects.prefix):
            message = f"the folder {database.prefix} is Velero's own (`objects.prefix`)"
            hint = "Velero refuses what it does not know there."
            yield Fault(("postgres", "databases", name), message, hint)


def _is_within(prefix: str, folder: str) -> bool:
    return f"{prefix}/".startswith(f"{folder}/")

"""How Velero names what it writes, as far as its schedules give a time: ``<schedule>-YYYYmmddHHMMSS``.

Source, in Velero: pkg/persistence/object_store_layout.go for keys, pkg/controller/schedule_controller.go for names.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from shlex import quote

from backstay.catalog import keys, records
from backstay.catalog.foreign import WARNINGS, Named
from backstay.store.base import Store
from backstay.store.wrap import drop_folder

RECORD = "velero-backup.json"
_FOLDER = re.compile(r"(?P<schedule>.+)-(?P<day>[0-9]{8})(?P<time>[0-9]{6})", re.ASCII)


def remove(store: Store, artifacts: Iterable[str]) -> None:
    """Remove artifacts, and of a backup in Velero's form its folder too: as long as the bucket lists that, Velero keeps
    the Backup in its list (pkg/controller/backup_sync_controller.go, ``deleteOrphanedBackups``).

    A folder with a record that is none of the artifacts is a backup of Velero's own, of the same second: it wrote over
    what was there, and all of it is left.
    """
    gone = list(artifacts)
    folders = {folder for key in gone if _FOLDER.fullmatch((folder := key.rpartition("/")[0]).rpartition("/")[2])}
    own = {folder for folder in folders if f"{folder}/{RECORD}" in gone}
    theirs = {folder for folder in folders - own if records.exists(store, f"{folder}/{RECORD}")}
    store.delete([key for key in gone if key.rpartition("/")[0] not in theirs])
    for folder in sorted(own):
        drop_folder(store, folder)


@dataclass(frozen=True)
class VeleroNaming:
    """Where the backups of one schedule are: ``<prefix>/backups/<schedule>-YYYYmmddHHMMSS/``. See ``foreign.Names``.

    Backstay writes the same names, so a folder is foreign when no run of Backstay has its second. Only the archive says
    anything: whatever else is there is Velero's, and none of it is ever taken for litter.
    """

    prefix: str
    schedule: str
    warnings: tuple[str, ...] = (
        *WARNINGS[:1],
        "No checksum was kept: what Velero listed is compared with what is in the archive.",
        "Whether Velero called it complete is read from its own file when it is verified or restored.",
    )

    @property
    def start(self) -> str:
        """See ``Names.start``."""
        return f"{self.prefix}/backups/{self.schedule}-"

    def parse(self, key: str) -> Named | None:
        """See ``Names.parse``."""
        folder, _, file = key.removeprefix(f"{self.prefix}/backups/").partition("/")
        match = _FOLDER.fullmatch(folder)
        if match is None or match["schedule"] != self.schedule or file != f"{folder}.tar.gz":
            return None
        stamp = f"{match['day']}-{match['time']}"
        beside = key.removesuffix(file) + RECORD
        return (
            Named(stamp, True, encoding=("gzip",), more=(("velero-backup", beside),)) if keys.is_stamp(stamp) else None
        )

    def taken(self, stamp: str) -> tuple[str, ...]:
        """See ``Names.taken``."""
        folder = f"{self.start}{stamp.replace('-', '')}"
        return (f"{folder}/{RECORD}", f"{folder}/{folder.rpartition('/')[2]}.tar.gz")

    def by_hand(self, url: str, named: Named) -> tuple[str, ...]:  # noqa: ARG002 - there is one form
        """See ``Names.by_hand``."""
        file = url.rpartition("/")[2]
        return (
            f"With Velero: velero restore create --from-backup {quote(file.removesuffix('.tar.gz'))} --wait",
            f"Without: fetch {url}",
            f"tar -xzf {quote(file)}   (an object in each file: resources/<kind>/namespaces/<namespace>/<name>.json)",
        )

"""etcd as a service: a new data folder is made beside the live one, and the two change places.

Source: etcd's documentation, "Disaster recovery": the new folder holds a new cluster, with new ids of members, so that
nothing of the old one can join it; every member is restored from the same snapshot with the same list and token.
"""

import shutil
from pathlib import Path

from backstay.core.errors import RestoreError, ToolError
from backstay.tiers.etcd.file.survey import survey
from backstay.tiers.etcd.restore import copies
from backstay.tiers.etcd.restore.fetch import Proven
from backstay.tiers.etcd.restore.modes import PATH_WORD
from backstay.tiers.etcd.restore.services import DATABASE, last_words, run_in, sync_folder
from backstay.tiers.etcd.restore.work import READY, REPLACE, Work, wait_free

LOG = "etcdutl.log"


class Plain:
    """A ``Way``: folders ``live``, ``new`` (restored, beside) and ``before`` (live, moved aside) of the plan."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.live, self.new, self.before = (Path(work.details[name]) for name in ("live", "new", "before"))
        self.unpacked = Path(work.details["unpack_into"])
        self.etcd = work.plane.etcd_dir

    def is_in_place(self) -> bool:
        """The new folder is gone from beside, and another than the live one is in its place."""
        return self.work.is_done(READY) and not self.new.exists() and self.live.exists() and not self.is_untouched()

    def is_untouched(self) -> bool:
        """The folder that was live is where it was; where there was none, there is none."""
        return copies.mark_of(self.live) == self.work.live

    def prepare(self, proven: Proven) -> None:
        """Make the new folder, compare it with the snapshot, give it the owner of the live one."""
        if self.work.is_done("unpack") and self.new.exists() and self.work.is_done(READY):
            return
        with self.work.phase("unpack"):
            self.unpack(proven)
            if self.live.exists():
                copies.like(self.new, self.live)
        if not self.work.is_done(READY):
            live = copies.mark_of(self.live)
            with self.work.phase(READY) as facts:
                facts["live"] = live.as_data() if live else None
                facts["was_running"] = self.was_up()

    def unpack(self, proven: Proven) -> None:
        """Run etcdutl; what it made has the very keys of the snapshot. Raises ``RestoreError``."""
        work, log = self.work, self.work.folder / LOG
        if self.unpacked.exists():  # a killed run of this restore left it: its name has our stamp
            shutil.rmtree(self.unpacked)
        argv = [word.replace(PATH_WORD, str(proven.path)) for word in work.details["restore_command"]]
        try:
            code = run_in(argv, work.folder, log, deadline=work.system.patience.reset, env=work.system.environment)
        except ToolError as error:
            raise RestoreError(f"etcdutl did not end: {error.message}", hint=error.hint) from error
        if code != 0:
            raise RestoreError(f"etcdutl could not restore the snapshot (exit code {code}): {last_words(log)}")
        found = survey(self.unpacked / DATABASE, prefix=work.plane.prefix.encode())
        if (found.revision, found.hash_kv) != (proven.revision, proven.hash_kv):
            raise RestoreError("the data folder that etcdutl made does not hold what the snapshot does")
        sync_folder(self.unpacked.parent)

    def discard(self) -> None:
        """The new folder, where it was never put in place."""
        if self.unpacked.exists():
            shutil.rmtree(self.unpacked)

    def stop(self) -> None:
        """The service."""
        self.work.service.stop()
        wait_free(self.work.system, self.etcd)

    def replace(self, proven: Proven) -> None:  # noqa: ARG002 - it was unpacked before the stop
        """Two renames."""
        if self.live.exists():
            if not self.is_untouched():
                raise RestoreError(f"{self.live} is not the folder that was there when this restore began")
            copies.move(self.live, self.before)
        copies.move(self.new, self.live)

    def put_back(self) -> None:
        """Two renames back: what was restored goes aside."""
        live = self.work.live
        there = copies.find(live, self.live.parent) if live else None
        if live and there is None:
            raise RestoreError(
                f"the data that was live is not beside {self.live} any more",
                hint=f"It was moved to {self.before}. Move it back from where it is now, then start etcd.",
            )
        if there != self.live and self.live.exists():
            copies.aside(self.live, "undone", self.work.stamp)
        if there and there != self.live:
            copies.move(there, self.live)

    def start(self) -> None:
        """Begin to start the service."""
        self.work.service.start()

    def was_running(self) -> bool:
        """As noted before the stop."""
        return bool(self.work.ledger.facts(READY).get("was_running"))

    def was_up(self) -> bool:
        """Whether it runs now."""
        return self.work.service.runs

    def kept(self) -> str:
        """The folder that was live."""
        return str(self.before) if self.before.exists() else ""

    def needed(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


class Aside(Plain):
    """Only a new data folder, where it was asked for; the live one and its service are not looked at."""

    def is_in_place(self) -> bool:
        """By the journal: the folder may be used by somebody since."""
        return self.work.is_done(REPLACE)

    def is_untouched(self) -> bool:
        """Always."""
        return True

    def prepare(self, proven: Proven) -> None:
        """Nothing that ``replace`` does not do."""

    def replace(self, proven: Proven) -> None:
        """Unpack beside the folder that was named, then give it its name."""
        with self.work.phase(REPLACE):
            if not self.live.exists():  # else a killed run of this restore made it: the plan wants none there
                self.unpack(proven)
                copies.move(self.unpacked, self.live)

    def kept(self) -> str:
        """Nothing was replaced."""
        return ""

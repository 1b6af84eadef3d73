"""Every error Backstay raises on purpose.

    BackstayError
    +-- UsageError, ConfigError, SecretError          the words or the file are wrong (exit 2)
    +-- Incomplete, Declined, Interrupted             how a run may end short (3, 4, 130)
    +-- StoreError                                    what a store may raise, and nothing else
    |   +-- NotFound, AlreadyExists, Denied, Locked, Corrupt, Unavailable, StoreMissing
    +-- LeaseHeld, LeaseLost                          one writer for each target (11)
    +-- CannotDecrypt                                 no identity opens it (12)
    +-- VerificationFailed                            what is stored is not what was promised (13)
    +-- ObjectiveBreached                             status --check (14)
    +-- ToolError                                     a program Backstay runs (missing, too old, failed)
    +-- SourceError, DumpIncomplete, UnknownArchive   the thing protected could not be read, or not wholly
    +-- SnapshotDamaged                               an etcd snapshot is not its cluster's state (13)
    +-- ArchiveDamaged                                an archive of objects is not what Velero's format says (13)
    +-- NoSuchObject, Undecodable                     an object in a snapshot is not there, or cannot be read
    +-- ClusterError                                  what a Kubernetes API server may answer, or not answer
    |   +-- ClusterUnreachable, ClusterDenied, ObjectNotFound, ObjectExists, ObjectConflict, ObjectInvalid
    +-- RestoreError                                  a restore stopped; says what is live
    +-- DrillFailed                                   a drill could not be done
    +-- CatalogError, NoSuchBackup, FormatTooNew      what the store says of its backups

Class attributes are the contract: ``code`` (stable, documented in docs/reference/errors.md), ``exit_code`` (design: the
table of exits) and ``retryable``. Instances carry ``hint`` (what is safe, what to do next) and ``context``. Only the
command line turns them into text; no layer logs an error and goes on.
"""

from typing import Any, ClassVar


class BackstayError(Exception):
    """Something failed that Backstay can name."""

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", **context: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.context = context

    def as_json(self) -> dict[str, Any]:
        """The error as ``--json`` prints it: ``code``, ``exit_code``, ``message``, ``hint``, ``context``."""
        return {
            "code": self.code,
            "exit_code": self.exit_code,
            "message": self.message,
            "hint": self.hint,
            "context": self.context,
        }


class UsageError(BackstayError):
    """The command line asks for something that cannot be."""

    code = "usage"
    exit_code = 2


class ConfigError(BackstayError):
    """The configuration cannot be read or is not valid."""

    code = "config.invalid"
    exit_code = 2


class SecretError(ConfigError):
    """A secret reference does not lead to a secret."""

    code = "config.secret"


class Incomplete(BackstayError):
    """The run finished, but not all of it: some targets failed, or some things were left out."""

    code = "incomplete"
    exit_code = 3


class Declined(BackstayError):
    """The question was answered with no, or not at all."""

    code = "declined"
    exit_code = 4


class Interrupted(BackstayError):
    """Ctrl-C or SIGTERM; everything begun was undone or journalled."""

    code = "interrupted"
    exit_code = 130


class StoreError(BackstayError):
    """Base of all that a store may raise."""

    code = "store.failed"


class NotFound(StoreError):
    """No object has this key."""

    code = "store.not_found"


class AlreadyExists(StoreError):
    """A conditional put found the key taken (create), or changed (match)."""

    code = "store.exists"


class Denied(StoreError):
    """The credentials do not allow it, or are wrong."""

    code = "store.denied"
    exit_code = 10


class Locked(StoreError):
    """Object lock or a bucket rule forbids the change until a date."""

    code = "store.locked"


class Corrupt(StoreError):
    """The bytes that came are not the bytes that were stored: too short, or another checksum."""

    code = "store.corrupt"
    exit_code = 13


class Unavailable(StoreError):
    """The store did not answer, or said to try later; the one retryable store error."""

    code = "store.unavailable"
    exit_code = 10
    retryable = True


class StoreMissing(StoreError):
    """The bucket or the folder itself is not there."""

    code = "store.missing"
    exit_code = 10


class LeaseHeld(BackstayError):
    """Another run is working on this target."""

    code = "lease.held"
    exit_code = 11


class LeaseLost(BackstayError):
    """This run no longer owns the target: it stalled past its lease and another took over. Nothing was committed."""

    code = "lease.lost"
    exit_code = 11


class CannotDecrypt(BackstayError):
    """An artifact is encrypted and no identity at hand opens it."""

    code = "crypt.no_identity"
    exit_code = 12


class VerificationFailed(BackstayError):
    """What is stored, or what a drill brought back, is not what the manifest promises."""

    code = "verify.failed"
    exit_code = 13


class ObjectiveBreached(BackstayError):
    """``status --check`` found a target late, failed or unproven; a drill took longer than its objective."""

    code = "objective.breached"
    exit_code = 14


class ToolError(BackstayError):
    """A program that Backstay runs is missing, or ended with an error."""

    code = "tool.failed"


class ToolMissing(ToolError):
    """A program that Backstay runs was not found."""

    code = "tool.missing"


class ToolTooOld(ToolError):
    """A program is older than the server or the file it must handle."""

    code = "tool.too_old"


class SourceError(BackstayError):
    """The thing to protect or to restore into cannot be reached, or refuses."""

    code = "source.failed"


class DumpIncomplete(SourceError):
    """A dump ended before its end, or without something it must hold. Nothing was stored."""

    code = "postgres.dump_incomplete"


class UnknownArchive(DumpIncomplete):
    """An archive of pg_dump is of a version that this Backstay cannot take apart."""

    code = "postgres.unknown_archive"


class SnapshotDamaged(BackstayError):
    """A snapshot of etcd is cut, changed, or not the state of the cluster it came from."""

    code = "etcd.snapshot_damaged"
    exit_code = 13


class ArchiveDamaged(BackstayError):
    """An archive of Kubernetes objects is cut, changed, or holds what does not belong in one."""

    code = "objects.archive_damaged"
    exit_code = 13


class NoSuchObject(BackstayError):
    """A snapshot has no object of this name."""

    code = "etcd.no_such_object"


class Undecodable(BackstayError):
    """A value in etcd is not an object of Kubernetes that can be read: its bytes, its kind or its encoding."""

    code = "etcd.undecodable"


class ClusterError(BackstayError):
    """The Kubernetes API server answered something that is neither what was asked nor one of the errors below."""

    code = "cluster.failed"


class ClusterUnreachable(ClusterError):
    """No answer of the API server: its address, the network, TLS, or a burst of errors that did not end."""

    code = "cluster.unreachable"
    retryable = True


class ClusterDenied(ClusterError):
    """The API server does not know who asks, or does not allow it; the hint says what would."""

    code = "cluster.denied"


class ObjectNotFound(ClusterError):
    """The cluster has no object, namespace or kind of this name."""

    code = "cluster.not_found"


class ObjectExists(ClusterError):
    """An object of this name is there already."""

    code = "cluster.exists"


class ObjectConflict(ClusterError):
    """The object changed meanwhile, or a field of it belongs to another manager."""

    code = "cluster.conflict"


class ObjectInvalid(ClusterError):
    """The API server refuses an object: a schema, an immutable field, a quota, an admission webhook."""

    code = "cluster.invalid"


class RestoreError(BackstayError):
    """A restore stopped. The message says whether live data was touched; it names the journal to resume from."""

    code = "restore.failed"


class DrillFailed(BackstayError):
    """A drill could not be done: nothing was learned of the backup."""

    code = "drill.failed"


class CatalogError(BackstayError):
    """The store's catalog holds something that is not what the format says."""

    code = "catalog.invalid"


class NoSuchBackup(CatalogError):
    """No backup has this id, or more than one begins with it."""

    code = "catalog.no_such_backup"


class FormatTooNew(CatalogError):
    """Written by a newer Backstay, with a format this one does not know."""

    code = "catalog.too_new"

"""Everything that can go wrong, one class each, with what to tell the user and how the process ends.

Four families, because a caller acts differently on each::

    BorkError
    ├── UsageError                        the command has to be changed
    │   ├── CommandError
    │   ├── NotAvailable
    │   ├── PlaceholderError
    │   │   └── InvalidPlaceholder
    │   ├── PatternInvalid
    │   ├── PullConfigInvalid
    │   ├── CancelledByUser
    │   ├── RepositoryAlreadyExists
    │   ├── RepositoryDoesNotExist
    │   ├── ParentPathDoesNotExist
    │   ├── PathAlreadyExists
    │   ├── PathNotAllowed
    │   ├── ArchiveAlreadyExists
    │   ├── ArchiveDoesNotExist
    │   ├── AppendOnly
    │   ├── NoPassphraseFailure
    │   ├── PasscommandFailure
    │   ├── PassphraseWrong
    │   ├── PasswordRetriesExceeded
    │   ├── ImmutablePassphrase
    │   ├── KeyfileNotFound
    │   ├── KeyfileMismatch
    │   ├── RepoKeyNotFound
    │   ├── NotABorkKeyFile
    │   ├── RepoIdMismatch
    │   └── UnencryptedRepo
    ├── SystemFault                       the machine has to be repaired, or try again
    │   ├── StorageError
    │   │   ├── ObjectExists
    │   │   ├── ObjectMissing
    │   │   ├── NoSpace
    │   │   ├── StorageQuotaExceeded
    │   │   ├── PermissionDenied
    │   │   │   └── ChangeRefused
    │   │   ├── PathPermissionDenied
    │   │   ├── ReadOnlyStorage
    │   │   ├── StorageFault
    │   │   └── RemoteFault
    │   │       ├── AgentFault
    │   │       ├── ConnectionClosed
    │   │       │   └── ConnectionClosedWithHint
    │   │       ├── ConnectionBrokenWithHint
    │   │       ├── InvalidRPCMethod
    │   │       ├── RPCServerOutdated
    │   │       ├── UnexpectedRPCDataFormatFromClient
    │   │       └── UnexpectedRPCDataFormatFromServer
    │   ├── LockError
    │   │   ├── LockTimeout
    │   │   └── SessionBroken
    │   ├── CacheFault
    │   ├── SourceFault
    │   │   └── SourceGone
    │   ├── ClientFault
    │   │   └── ClientLacksBork
    │   ├── TarInvalid
    │   ├── OutputFault
    │   ├── NativeMissing
    │   └── InternalError
    └── RepositoryError                   stop, and look at the repository
        ├── InvalidRepository
        ├── InvalidRepositoryConfig
        ├── UnsupportedFormat
        ├── MandatoryFeatureUnsupported
        ├── KeyInvalid
        │   └── KeyfileInvalid
        ├── KeyMismatch
        ├── CacheInitAborted
        ├── EncryptionMethodMismatch
        ├── RepositoryAccessAborted
        ├── RepositorySwapped
        ├── RepositoryReplay
        └── IntegrityError
            ├── GenerationDamaged
            └── DecompressionError

An error is raised with the values of its ``fields``, in that order: ``raise RepositoryDoesNotExist(path)``. Its ``str``
is one line that says what and where; ``advice`` is one sentence that says what to do; ``exit_code`` is the number of
Borg 1.4 (``BORG_EXIT_CODES=modern``), and ``msgid`` the name that Borg's JSON log has for the same error.

One file of a backup that cannot be read is no exception but a value: see ``cli.item_warnings``. A fault of the
repository can never become one of those, for they share no class.
"""

from __future__ import annotations

from typing import ClassVar


class BorkError(Exception):
    """The root. ``raise Class(value of field 1, value of field 2, ...)``; a value that is not given shows as ``?``.

    A single value where several belong is the whole sentence already: engines tell it so.
    """

    message: ClassVar[str] = "{detail}"
    fields: ClassVar[tuple[str, ...]] = ("detail",)
    advice: ClassVar[str] = ""
    exit_code: ClassVar[int] = 2
    msgid: ClassVar[str] = "Error"

    def __init__(self, *values: object) -> None:
        if len(values) > len(self.fields):
            raise TypeError(f"{type(self).__name__} takes the fields {self.fields}, not {len(values)} values")
        super().__init__(*values)

    def __str__(self) -> str:
        if len(self.args) == 1 < len(self.fields):
            return _one_line(self.args[0])
        shown = dict.fromkeys(self.fields, "?")
        shown.update((field, _one_line(value)) for field, value in zip(self.fields, self.args, strict=False))
        return self.message.format_map(shown)


def _one_line(value: object) -> str:
    """Show a value inside a sentence: bytes stay recognizable, and a line end cannot forge a second line."""
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
    return (
        text if text.isprintable() else "".join(c if c.isprintable() or c > "\ud7ff" else ascii(c)[1:-1] for c in text)
    )


# ---- the command has to be changed -------------------------------------------------------------------------------


class UsageError(BorkError):
    pass


class CommandError(UsageError):
    message = "Command Error: {detail}"
    exit_code = 4
    msgid = "CommandError"


class NotAvailable(UsageError):
    message = "{what} is not available in this version of Bork."
    fields = ("what",)
    advice = 'See "bork help" for what is there.'


class PlaceholderError(UsageError):
    message = 'The placeholders in "{text}" cannot be replaced: {reason}.'
    fields = ("text", "reason")
    advice = 'See "bork help placeholders"; write {{ and }} for braces that mean themselves.'
    exit_code = 5
    msgid = "PlaceholderError"


class InvalidPlaceholder(PlaceholderError):
    message = 'Invalid placeholder "{placeholder}" in string: {text}'
    fields = ("placeholder", "text")
    exit_code = 6
    msgid = "InvalidPlaceholder"


class PatternInvalid(UsageError):
    message = "Invalid pattern {pattern}: {reason}."
    fields = ("pattern", "reason")
    advice = 'See "bork help patterns".'


class PullConfigInvalid(UsageError):
    """``place``: the table and the key."""

    message = "{path}: {place}: {reason}."
    fields = ("path", "place", "reason")
    advice = 'The page "fleet" of the documentation lists all keys.'


class CancelledByUser(UsageError):
    message = "Cancelled by user."
    fields = ()
    exit_code = 3
    msgid = "CancelledByUser"


class RepositoryAlreadyExists(UsageError):
    message = "A repository already exists at {location}."
    fields = ("location",)
    advice = "Use it, or choose another path."
    exit_code = 10
    msgid = "Repository.AlreadyExists"


class RepositoryDoesNotExist(UsageError):
    message = "Repository {location} does not exist."
    fields = ("location",)
    advice = 'Check the path, or make the repository with "bork init".'
    exit_code = 13
    msgid = "Repository.DoesNotExist"


class ParentPathDoesNotExist(UsageError):
    message = "The parent path of the repo directory [{location}] does not exist."
    fields = ("location",)
    advice = "Create it, or use --make-parent-dirs."
    exit_code = 18
    msgid = "Repository.ParentPathDoesNotExist"


class PathAlreadyExists(UsageError):
    message = "There is already something at {location}."
    fields = ("location",)
    advice = "Choose another path, or an empty directory."
    exit_code = 19
    msgid = "Repository.PathAlreadyExists"


class PathNotAllowed(UsageError):
    message = "Repository path not allowed: {path}"
    fields = ("path",)
    advice = "The server was started for other paths: use one of those."
    exit_code = 83
    msgid = "PathNotAllowed"


class ArchiveAlreadyExists(UsageError):
    message = "Archive {name} already exists"
    fields = ("name",)
    advice = "Choose another name; a placeholder as {now} makes each name new."
    exit_code = 30
    msgid = "Archive.AlreadyExists"


class ArchiveDoesNotExist(UsageError):
    message = "Archive {name} does not exist"
    fields = ("name",)
    advice = '"bork list REPO" shows the archives.'
    exit_code = 31
    msgid = "Archive.DoesNotExist"


class AppendOnly(UsageError):
    message = "The repository {location} is append-only: nothing may be deleted there."
    fields = ("location",)
    advice = 'If you may decide that, "bork config REPO append_only 0" changes it.'
    msgid = "Repository.AppendOnly"


class NoPassphraseFailure(UsageError):
    message = "Cannot acquire a passphrase: {reason}"
    fields = ("reason",)
    advice = "Set BORK_PASSPHRASE, BORK_PASSCOMMAND or BORK_PASSPHRASE_FD, or run Bork on a terminal."
    exit_code = 50
    msgid = "NoPassphraseFailure"


class PasscommandFailure(UsageError):
    message = "Passcommand supplied in {variable} failed: {reason}"
    fields = ("variable", "reason")
    advice = "Run that command by hand; it has to print the passphrase and exit with 0."
    exit_code = 51
    msgid = "PasscommandFailure"


class PassphraseWrong(UsageError):
    message = "Passphrase supplied in BORG_PASSPHRASE, by BORG_PASSCOMMAND, or via BORG_PASSPHRASE_FD is incorrect."
    fields = ()
    advice = "Check the passphrase, and that this is the repository that it belongs to."
    exit_code = 52
    msgid = "PassphraseWrong"


class PasswordRetriesExceeded(UsageError):
    message = "Exceeded the maximum password retries."
    fields = ()
    advice = "Check the passphrase and the keyboard layout, then try again."
    exit_code = 53
    msgid = "PasswordRetriesExceeded"


class ImmutablePassphrase(UsageError):
    message = "The passphrase for this encryption key type can't be changed."
    fields = ()
    advice = "Repositories with --encryption none have no passphrase."


class KeyfileNotFound(UsageError):
    message = "No key file for repository {location} found in {directory}."
    fields = ("location", "directory")
    advice = 'Bring the key back with "bork key import", or set BORK_KEY_FILE or BORK_KEYS_DIR.'
    exit_code = 42
    msgid = "KeyfileNotFoundError"


class KeyfileMismatch(UsageError):
    message = "Mismatch between repository {location} and key file {path}."
    fields = ("location", "path")
    advice = "The key file belongs to another repository: choose the right one."
    exit_code = 41
    msgid = "KeyfileMismatchError"


class RepoKeyNotFound(UsageError):
    message = "No key found in repository {location}."
    fields = ("location",)
    advice = 'Bring the key back with "bork key import".'
    exit_code = 44
    msgid = "RepoKeyNotFoundError"


class NotABorkKeyFile(UsageError):
    message = "{path} is not a Bork key backup: {reason}."
    fields = ("path", "reason")
    advice = 'Use a file that was written by "bork key export" or a key file of Bork.'
    exit_code = 43
    msgid = "NotABorgKeyFile"


class RepoIdMismatch(UsageError):
    message = "This key backup seems to be for a different backup repository, aborting."
    fields = ()
    advice = "Choose the key backup of this repository."
    exit_code = 45
    msgid = "RepoIdMismatch"


class UnencryptedRepo(UsageError):
    message = "Key management not available for unencrypted repositories."
    fields = ()
    advice = "Repositories with --encryption none have no key."
    exit_code = 46
    msgid = "UnencryptedRepo"


# ---- the machine has to be repaired, or try again ----------------------------------------------------------------


class SystemFault(BorkError):
    pass


class StorageError(SystemFault):
    """What every storage backend raises. Never a warning about one file of a backup."""


class ObjectExists(StorageError):
    message = "There is already an object {name} in {location}."
    fields = ("name", "location")
    advice = "Another process wrote it first: run the command again."
    msgid = "Repository.ObjectExists"


class ObjectMissing(StorageError):
    message = "Object with key {name} not found in repository {location}."
    fields = ("name", "location")
    advice = 'Run "bork check" to see what is lost.'
    exit_code = 17
    msgid = "Repository.ObjectNotFound"


class NoSpace(StorageError):
    message = "No space left for the repository {location} ({operation} {name})."
    fields = ("location", "operation", "name")
    advice = "Free some space there and run the command again: what is stored already is not sent twice."
    exit_code = 14
    msgid = "Repository.InsufficientFreeSpaceError"


class StorageQuotaExceeded(StorageError):
    message = "The storage quota ({quota}) has been exceeded ({used})."
    fields = ("quota", "used")
    advice = "Back up less, or to a repository with a larger quota."
    exit_code = 20
    msgid = "Repository.StorageQuotaExceeded"


class PermissionDenied(StorageError):
    message = "Permission denied in the repository {location} ({operation} {name})."
    fields = ("location", "operation", "name")
    advice = "Run Bork as the owner of the repository, or repair the ownership of its files."
    exit_code = 21
    msgid = "Repository.PathPermissionDenied"


class ChangeRefused(PermissionDenied):
    message = "The server lets this client only add to the repository {location} ({operation} {name} was refused)."
    advice = "Run the command on the server, or without --append-only there."
    exit_code = 2
    msgid = "ChangeRefused"


class PathPermissionDenied(StorageError):
    message = "Permission denied to {location}."
    fields = ("location",)
    advice = "Run Bork as a user that may access that path."
    exit_code = 21
    msgid = "Repository.PathPermissionDenied"


class ReadOnlyStorage(StorageError):
    message = "The file system of the repository {location} is read-only ({operation} {name})."
    fields = ("location", "operation", "name")
    advice = "Mount it writable and run the command again."


class StorageFault(StorageError):
    message = "The storage of the repository {location} failed ({operation} {name}): {reason}."
    fields = ("location", "operation", "name", "reason")
    advice = "Check the disk or the connection, then run the command again."


class RemoteFault(StorageError):
    """The other end of a connection, or the way to it. The repository itself may be as good as ever."""

    message = "The server answered: {detail}"
    fields: ClassVar[tuple[str, ...]] = ("detail",)
    advice = "It is of another version, or no Bork."


class AgentFault(RemoteFault):
    message = "{detail}"
    advice = "What has arrived is not sent again the next time."


class ConnectionClosed(RemoteFault):
    message = "Connection closed by remote host"
    fields: ClassVar[tuple[str, ...]] = ()
    advice = "Check the network, and that Bork works on the server. What has arrived is not sent again."
    exit_code = 80
    msgid = "ConnectionClosed"


class ConnectionClosedWithHint(ConnectionClosed):
    message = "Connection closed by remote host: {hint}."
    fields = ("hint",)
    exit_code = 81
    msgid = "ConnectionClosedWithHint"


class ConnectionBrokenWithHint(RemoteFault):
    message = "Connection to remote host is broken: {hint}."
    fields = ("hint",)
    advice = "Check the network. What has arrived is not sent again."
    exit_code = 87
    msgid = "ConnectionBrokenWithHint"


class InvalidRPCMethod(RemoteFault):
    message = "RPC method {method} is not valid"
    fields = ("method",)
    advice = "Client and server are of different versions: update the older one."
    exit_code = 82
    msgid = "InvalidRPCMethod"


class RPCServerOutdated(RemoteFault):
    message = "Client and server share no version of the protocol: client {client}, server {server}."
    fields = ("client", "server")
    advice = "Update the older one."
    exit_code = 84
    msgid = "RemoteRepository.RPCServerOutdated"


class UnexpectedRPCDataFormatFromClient(RemoteFault):
    message = "Bork {version}: Got unexpected RPC data format from client: {detail}."
    fields = ("version", "detail")
    advice = "Something changes what is sent on its way, or it is no client of Bork."
    exit_code = 85
    msgid = "UnexpectedRPCDataFormatFromClient"


class UnexpectedRPCDataFormatFromServer(RemoteFault):
    message = "Got unexpected RPC data format from server: {detail}."
    fields = ("detail",)
    advice = (
        "Something on the server writes into the connection, such as a start-up file of the shell, or it is no Bork."
    )
    exit_code = 86
    msgid = "UnexpectedRPCDataFormatFromServer"


class LockError(SystemFault):
    message = "Failed to acquire the lock {name}."
    fields = ("name",)
    advice = "Another process uses the repository."
    exit_code = 70
    msgid = "LockError"


class LockTimeout(LockError):
    message = "Failed to create/acquire the lock {name} (timeout)."
    fields = ("name",)
    advice = "Another process uses the repository: wait for it, or use --lock-wait."
    exit_code = 73
    msgid = "LockTimeout"


class SessionBroken(LockError):
    message = "The session of this command in {location} was broken by another process, and nothing was committed."
    fields = ("location",)
    advice = 'Run the command again, and use "bork break-lock" only when nothing else is at work.'
    exit_code = 75
    msgid = "NotMyLock"


class CacheFault(SystemFault):
    message = "The local directory {path} cannot be used: {reason}."
    fields = ("path", "reason")
    advice = "Repair it, or choose others with BORK_CACHE_DIR, BORK_CONFIG_DIR or BORK_BASE_DIR."


class SourceFault(SystemFault):
    message = "{path}: {reason}"
    fields = ("path", "reason")
    advice = "Check the path and its permissions."


class SourceGone(SourceFault):
    """The file system that is backed up went away meanwhile."""

    message = "{path} went away during the backup: {reason}. There is no archive."
    advice = "Mount it again, and repeat the backup: what was stored is found again."


class ClientFault(SystemFault):
    """What went wrong on the host that a pull is from, or on the way to it."""

    message = "The client {host} could not be backed up: {reason}."
    fields: ClassVar[tuple[str, ...]] = ("host", "reason")
    advice = "Repair it there and pull again: what has arrived is not sent again."


class ClientLacksBork(ClientFault):
    message = "The client {host} has no program {program}."
    fields = ("host", "program")
    advice = "Install Bork there, name it with --remote-path, or pull without --client-encrypts."


class TarInvalid(SystemFault):
    message = "{path} cannot be imported: {reason}."
    fields = ("path", "reason")
    advice = "No archive was made: get a complete tar file, and import it again."


class OutputFault(SystemFault):
    message = "Cannot write to {target}: {reason}."
    fields = ("target", "reason")
    advice = "Check the space and the permissions there."


class NativeMissing(SystemFault):
    message = "The native engine of Bork cannot be loaded: {reason}."
    fields = ("reason",)
    advice = 'Build it again with "pip install ." in the source directory.'


class InternalError(SystemFault):
    message = "internal error: {detail}"
    fields = ("detail",)
    advice = "This is a bug in Bork: please report it, with the output of the same command with --debug."


# ---- stop, and look at the repository ----------------------------------------------------------------------------


class RepositoryError(BorkError):
    pass


class InvalidRepository(RepositoryError):
    message = "{location} is not a valid repository: {reason}."
    fields = ("location", "reason")
    advice = "Check the path; a repository of Borg cannot be read by Bork."
    exit_code = 15
    msgid = "Repository.InvalidRepository"


class InvalidRepositoryConfig(RepositoryError):
    message = "{location} does not have a valid configuration: {reason}."
    fields = ("location", "reason")
    advice = 'Restore the file "config" of the repository from a copy.'
    exit_code = 16
    msgid = "Repository.InvalidRepositoryConfig"


class UnsupportedFormat(RepositoryError):
    message = "{what} has the format version {found}, and this Bork knows {known}."
    fields = ("what", "found", "known")
    advice = "Use a newer version of Bork."
    exit_code = 25
    msgid = "MandatoryFeatureUnsupported"


class MandatoryFeatureUnsupported(RepositoryError):
    message = "Unsupported repository feature(s) {features}."
    fields = ("features",)
    advice = "Use a newer version of Bork for this repository."
    exit_code = 25
    msgid = "MandatoryFeatureUnsupported"


class KeyInvalid(RepositoryError):
    message = "Invalid key data: {reason}."
    fields: ClassVar[tuple[str, ...]] = ("reason",)
    advice = 'The key is damaged: bring it back from a backup with "bork key import".'
    exit_code = 40
    msgid = "KeyfileInvalidError"


class KeyfileInvalid(KeyInvalid):
    message = "Invalid key data for repository {location} found in {path}: {reason}."
    fields = ("location", "path", "reason")


class KeyMismatch(RepositoryError):
    message = "The key belongs to another repository."
    fields = ("detail",)  # for who debugs it: the user knows the repository, and cannot know the other one
    advice = "Choose the key of this repository."
    exit_code = 41
    msgid = "KeyfileMismatchError"


class CacheInitAborted(RepositoryError):
    message = "Cache initialization aborted"
    fields = ()
    advice = "To answer without being asked, set BORK_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes."
    exit_code = 60
    msgid = "Cache.CacheInitAborted"


class EncryptionMethodMismatch(RepositoryError):
    message = "Repository encryption method changed since last access, refusing to continue"
    fields = ()
    advice = "Find out who replaced the repository before you trust it."
    exit_code = 61
    msgid = "Cache.EncryptionMethodMismatch"


class RepositoryAccessAborted(RepositoryError):
    message = "Repository access aborted"
    fields = ()
    advice = "If you moved it yourself, set BORK_RELOCATED_REPO_ACCESS_IS_OK=yes."
    exit_code = 62
    msgid = "Cache.RepositoryAccessAborted"


class RepositorySwapped(RepositoryError):
    message = "The server gives another repository than this client has used: {found}, not {expected}."
    fields = ("found", "expected")
    advice = "Find out why. If you want it, name it on the client: bork source --repository-id ID."
    exit_code = 65
    msgid = "RepositorySwapped"


class RepositoryReplay(RepositoryError):
    message = "The repository {location} is older than what this user has seen of it before: {detail}."
    fields = ("location", "detail")
    advice = (
        "It was replaced by an old copy, or archives were removed behind Bork's back; find out which before you go on."
    )
    exit_code = 64
    msgid = "Cache.RepositoryReplay"


class IntegrityError(RepositoryError):
    """Bytes that are not what they must be. Verification raises this; it never returns False."""

    message = "Data integrity error: {what} in {where}: expected {expected}, found {found}"
    fields = ("what", "where", "expected", "found")
    advice = 'Run "bork check --verify-data" to see how much is damaged.'
    exit_code = 90
    msgid = "IntegrityError"

    def __str__(self) -> str:
        text = super().__str__()
        return text if len(self.args) != 1 else f"Data integrity error: {text}"


class GenerationDamaged(IntegrityError):
    """With one argument: what is damaged."""

    advice = 'Do not remove it: run "bork check --repair". Commands that only read go on without it.'


class DecompressionError(IntegrityError):
    exit_code = 92
    msgid = "DecompressionError"

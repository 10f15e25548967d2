"""Exit codes are those of Borg, legacy and modern."""

import pytest

from bork import errors
from bork.cli import exit_codes
from bork.cli.exit_codes import Warnings
from bork.cli.item_warnings import ITEM_WARNINGS
from bork.errors import BorkError

# Modern exit codes and message ids of Borg 1.4.5, for everything that Bork has, too.
BORG = {
    "CancelledByUser": (3, "CancelledByUser"),
    "CommandError": (4, "CommandError"),
    "PlaceholderError": (5, "PlaceholderError"),
    "InvalidPlaceholder": (6, "InvalidPlaceholder"),
    "RepositoryAlreadyExists": (10, "Repository.AlreadyExists"),
    "RepositoryDoesNotExist": (13, "Repository.DoesNotExist"),
    "NoSpace": (14, "Repository.InsufficientFreeSpaceError"),
    "InvalidRepository": (15, "Repository.InvalidRepository"),
    "InvalidRepositoryConfig": (16, "Repository.InvalidRepositoryConfig"),
    "ObjectMissing": (17, "Repository.ObjectNotFound"),
    "ParentPathDoesNotExist": (18, "Repository.ParentPathDoesNotExist"),
    "PathAlreadyExists": (19, "Repository.PathAlreadyExists"),
    "StorageQuotaExceeded": (20, "Repository.StorageQuotaExceeded"),
    "PathPermissionDenied": (21, "Repository.PathPermissionDenied"),
    "MandatoryFeatureUnsupported": (25, "MandatoryFeatureUnsupported"),
    "ArchiveAlreadyExists": (30, "Archive.AlreadyExists"),
    "ArchiveDoesNotExist": (31, "Archive.DoesNotExist"),
    "KeyfileInvalid": (40, "KeyfileInvalidError"),
    "KeyfileMismatch": (41, "KeyfileMismatchError"),
    "KeyfileNotFound": (42, "KeyfileNotFoundError"),
    "NotABorkKeyFile": (43, "NotABorgKeyFile"),
    "RepoKeyNotFound": (44, "RepoKeyNotFoundError"),
    "RepoIdMismatch": (45, "RepoIdMismatch"),
    "UnencryptedRepo": (46, "UnencryptedRepo"),
    "NoPassphraseFailure": (50, "NoPassphraseFailure"),
    "PasscommandFailure": (51, "PasscommandFailure"),
    "PassphraseWrong": (52, "PassphraseWrong"),
    "PasswordRetriesExceeded": (53, "PasswordRetriesExceeded"),
    "CacheInitAborted": (60, "Cache.CacheInitAborted"),
    "EncryptionMethodMismatch": (61, "Cache.EncryptionMethodMismatch"),
    "RepositoryAccessAborted": (62, "Cache.RepositoryAccessAborted"),
    "RepositoryReplay": (64, "Cache.RepositoryReplay"),
    "LockError": (70, "LockError"),
    "LockTimeout": (73, "LockTimeout"),
    "ConnectionClosed": (80, "ConnectionClosed"),
    "ConnectionClosedWithHint": (81, "ConnectionClosedWithHint"),
    "InvalidRPCMethod": (82, "InvalidRPCMethod"),
    "PathNotAllowed": (83, "PathNotAllowed"),
    "RPCServerOutdated": (84, "RemoteRepository.RPCServerOutdated"),
    "UnexpectedRPCDataFormatFromClient": (85, "UnexpectedRPCDataFormatFromClient"),
    "UnexpectedRPCDataFormatFromServer": (86, "UnexpectedRPCDataFormatFromServer"),
    "ConnectionBrokenWithHint": (87, "ConnectionBrokenWithHint"),
    "IntegrityError": (90, "IntegrityError"),
    "DecompressionError": (92, "DecompressionError"),
}


@pytest.mark.parametrize("name", sorted(BORG))
def test_an_error_has_the_number_and_the_name_of_borg(name: str) -> None:
    error = getattr(errors, name)()
    assert isinstance(error, BorkError)
    assert (exit_codes.of_error(error, modern=True), error.msgid) == BORG[name]
    assert exit_codes.of_error(error, modern=False) == 2


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        *(("changed", 100), ("never_matched", 101), ("metadata", 102), ("race", 103), ("os", 104)),
        *(("permission", 105), ("io", 106), ("not_found", 107), ("symlink_parent", 108), ("path_traversal", 109)),
        ("hardlink_source", 110),
    ],
)
def test_one_kind_of_warning_has_the_number_of_borg(kind: str, code: int) -> None:
    warnings = Warnings()
    warnings.add(kind)
    warnings.add(kind)
    assert (warnings.exit_code(modern=True), warnings.exit_code(modern=False)) == (code, 1)


def test_several_kinds_of_warnings_are_just_a_warning() -> None:
    warnings = Warnings()
    warnings.add("changed")
    warnings.add("io")
    assert warnings.exit_code(modern=True) == 1


def test_no_warning_is_success() -> None:
    assert Warnings().exit_code(modern=True) == Warnings().exit_code(modern=False) == 0


def test_a_kind_that_nobody_knows_is_a_warning_still() -> None:
    warnings = Warnings()
    warnings.add("new in some other module")
    assert warnings.exit_code(modern=True) == 1


def test_no_warning_can_be_mistaken_for_an_error() -> None:
    assert all(100 <= warning.exit_code < 128 for warning in ITEM_WARNINGS.values())


@pytest.mark.parametrize(
    ("code", "word"),
    [(0, "success"), (1, "warning"), (100, "warning"), (127, "warning"), (2, "error"), (99, "error"), (130, "signal")],
)
def test_codes_are_classified_as_by_borg(code: int, word: str) -> None:
    assert exit_codes.classify(code) == word

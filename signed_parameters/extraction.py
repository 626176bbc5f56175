"""Verified files in a folder, for programs that load models by themselves: fetched, verified, and then let appear.

The package is read once. Its files' bytes go into files that have no name yet, while they are hashed. Only when
everything holds do these get their names, so that nobody ever finds anything else there: not after a refusal, a full
disk, or the end of the process at any moment.
"""

import errno
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from signed_parameters.digests import Digest, Hasher, new_hasher
from signed_parameters.errors import ConfigurationError, MalformedPackage, StorageError
from signed_parameters.formats.kinds import format_of
from signed_parameters.layout import StreamedArchive
from signed_parameters.policy.trust_policy import TrustPolicy
from signed_parameters.receiving import receive
from signed_parameters.statement import SignedFile, Statement, check_entry_name
from signed_parameters.storage import Storage
from signed_parameters.unnamed import UnnamedFile, clear_left_behind
from signed_parameters.verification import TrustedStatement, check_size, find_trusted
from signed_parameters.verified import check_digest

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REMEDIES = {errno.EMFILE: "Let the process open more files: `ulimit -n`.", errno.ENFILE: "Close other files."}
_KEPT = frozenset({"lost+found"})  # of the file system itself


def extract_package(
    uri: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    policy: TrustPolicy,
    *,
    files: Mapping[str, str] | None = None,
    storage: Storage | None = None,
    now: datetime | None = None,
) -> Statement:
    """Verify a package, and write files of it into a folder: all of them, or none.

    Args:
        uri: as for `verify_package`.
        folder: is made if it is missing. It may hold files of the same names, which are replaced, and no others.
        policy: what is demanded.
        files: which files are written, each with the name that it gets, such as `{"model.pkl": "model.joblib"}`; by
            default every file by its own name.
        storage: as for `verify_package`.
        now: as for `verify_package`.

    Returns:
        The package's statement.

    Raises:
        VerificationError: the package is refused. The folder is as it was.
        StorageError: it could not be read, or the folder has no room. The folder is as it was.
        ConfigurationError: the folder cannot be written to or holds other files, or the package has no such file.
    """
    with PendingExtraction(uri, folder, policy, files=files, storage=storage, now=now) as pending:
        return pending.publish()


@dataclass
class _Target:
    signed: SignedFile
    path: Path
    file: UnnamedFile
    hasher: Hasher


class PendingExtraction:
    """Files of a package that is verified, in a folder where they have no names until `publish`.

    Arguments and errors are those of `extract_package`. Use it in a `with` block: what was not published is gone at
    its end.
    """

    def __init__(
        self,
        uri: str | os.PathLike[str],
        folder: str | os.PathLike[str],
        policy: TrustPolicy,
        *,
        files: Mapping[str, str] | None = None,
        storage: Storage | None = None,
        now: datetime | None = None,
    ) -> None:
        if not os.fspath(folder):
            raise ConfigurationError("the name of the folder to write to is empty", expected="a path")
        self._folder = Path(folder)
        trusted = find_trusted(uri, policy, storage=storage, now=now)
        self.statement = trusted.statement
        chosen = _choose(trusted.statement, files)
        self._made: list[Path] = []
        self._targets: dict[int, _Target] = {}
        self._stack = ExitStack()
        try:
            archive = self._expected_archive()
            self._prepare(chosen)
            self._receive(trusted, archive)
        except BaseException:
            self.close()
            raise

    @property
    def names(self) -> list[str]:
        """The files, by the names that they get in the folder."""
        return [target.path.relative_to(self._folder).as_posix() for target in self._targets.values()]

    def publish(self) -> Statement:
        """Give the files their names. Models get theirs last, so that who finds one finds what belongs to it.

        Raises:
            StorageError: the folder was taken away, or has no room.
        """
        try:
            for models in (False, True):
                targets = [each for each in self._targets.values() if (format_of(each.path.name) is not None) is models]
                for target in targets:
                    target.file.publish(target.path)
                for folder in dict.fromkeys(target.path.parent for target in targets):
                    _settle(folder)
        except OSError as error:
            raise self._failed(error) from None
        self._made.clear()
        return self.statement

    def close(self) -> None:
        """Let go of what was not published, and of the folders that were made for it."""
        self._stack.close()
        for folder in reversed(self._made):
            try:
                folder.rmdir()
            except OSError:
                break
        self._made.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self, chosen: Mapping[str, str]) -> None:
        try:
            self._check_others(set(chosen.values()))
            for number, file in enumerate(self.statement.files):
                if file.name in chosen:
                    path = self._folder / chosen[file.name]
                    self._make_folder(path.parent)
                    unnamed = self._stack.enter_context(UnnamedFile(self._folder, file.size))
                    self._targets[number] = _Target(
                        file, path, unnamed, new_hasher(file.digest.algorithm, one_core=True)
                    )
        except OSError as error:
            raise self._failed(error) from None
        except ValueError as error:
            raise ConfigurationError(f"the folder {self._folder} is no path", found=str(error)) from None

    def _receive(self, trusted: TrustedStatement, archive: StreamedArchive) -> None:
        statement = trusted.statement
        address, expected = trusted.storage.address(trusted.name), statement.package_digest
        whole = new_hasher(expected.algorithm, one_core=True)
        with trusted.storage.stream(trusted.name) as download:
            if download.size is not None:
                check_size(address, statement.package_size, download.size)
            received = receive(download.chunks, statement.package_size, whole, archive.update)
        check_size(address, statement.package_size, received)
        check_digest(address, expected, Digest(expected.algorithm, whole.hexdigest()))
        archive.finish()
        for target in self._targets.values():
            found = Digest(target.signed.digest.algorithm, target.hasher.hexdigest())
            check_digest(f"{target.signed.name} in the package", target.signed.digest, found)

    def _expected_archive(self) -> StreamedArchive:
        statement = self.statement
        archive = StreamedArchive([(file.name, file.size) for file in statement.files], self._take)
        if archive.size != statement.package_size:
            raise MalformedPackage(
                "the statement contradicts itself",
                expected=f"a package of {archive.size} bytes for these files",
                found=f"{statement.package_size} bytes",
            )
        return archive

    def _take(self, number: int, part: memoryview) -> None:
        target = self._targets.get(number)
        if target is None:
            return
        target.hasher.update(part)
        try:
            target.file.write(part)
        except OSError as error:
            raise self._failed(error) from None

    def _check_others(self, names: set[str]) -> None:
        """Refuse a folder with other files in it: whoever put them there would have them loaded."""
        if not self._folder.is_dir():
            return
        clear_left_behind(self._folder)
        for above, folders, found in os.walk(self._folder, onerror=_fail):
            folders[:] = [name for name in folders if name not in _KEPT]
            for name in (*found, *folders):
                path = Path(above, name).relative_to(self._folder).as_posix()
                is_folder = name in folders
                if (path in names) is is_folder or (is_folder and os.path.islink(os.path.join(above, name))):
                    raise ConfigurationError(
                        f"the folder {self._folder} holds something else, {path!r}",
                        expected="an empty folder, or one with nothing but the files that are written",
                        remedy="Give every model a folder of its own.",
                    )

    def _make_folder(self, folder: Path) -> None:
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for path in reversed(missing):
            path.mkdir()
            self._made.append(path)
            path.chmod(0o755)

    def _failed(self, error: OSError) -> StorageError | ConfigurationError:
        full = error.errno in _NO_ROOM
        kind = StorageError if full else ConfigurationError
        return kind(
            f"the folder {self._folder} cannot be written to",
            found=str(error.strerror),
            remedy="Make room there."
            if full
            else _REMEDIES.get(error.errno or 0, "Check its path, its owner and its mode."),
        )


def _choose(statement: Statement, files: Mapping[str, str] | None) -> dict[str, str]:
    names = [file.name for file in statement.files]
    files = {name: name for name in names} if files is None else files
    for name, target in files.items():
        if name not in names:
            raise ConfigurationError(
                f"the package has no file {name!r}",
                expected=f"one of {', '.join(names)}",
                remedy="Choose another file.",
            )
        try:
            check_entry_name(target)
        except ValueError as error:
            raise ConfigurationError(f"{name} cannot be written under another name", found=str(error)) from None
    # Some file systems do not tell upper from lower case.
    targets = {target.lower() for target in files.values()}
    folders = {parent.as_posix() for target in targets for parent in PurePosixPath(target).parents}
    if not files or len(targets) != len(files) or targets & folders:
        raise ConfigurationError(
            "the files to write are not usable",
            expected="one at least, each name once, and none of them the folder of another",
            remedy="Choose files, and other names for them.",
        )
    return dict(files)


def _fail(error: OSError) -> None:
    raise error


def _settle(folder: Path) -> None:
    """Make sure that names last through a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

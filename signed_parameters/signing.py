"""Signing: read a package, write the statement about it, sign that, and put the envelope beside the package."""

import io
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import packages_distributions
from importlib.metadata import version as _version
from pathlib import Path

from pydantic import ValidationError

from signed_parameters.digests import Digest, DigestAlgorithm, digest_file, digest_file_and_ranges
from signed_parameters.envelope import Envelope
from signed_parameters.errors import ConfigurationError, DigestMismatch, Unavailable
from signed_parameters.files import replacement
from signed_parameters.formats.kinds import Format, check_model, format_of
from signed_parameters.formats.opcodes import FileRange
from signed_parameters.keys.signing_key import SigningKey
from signed_parameters.layout import check_layout
from signed_parameters.limits import DEFAULT_LIMITS
from signed_parameters.package import BuiltPackage, list_files
from signed_parameters.statement import ENVELOPE_SUFFIX, SignedFile, Statement, describe_problem
from signed_parameters.storage import FileStorage


def sign_package(
    package: str | os.PathLike[str],
    *,
    key: SigningKey,
    name: str,
    version: str,
    parameters_version: str,
    serial: int,
    expires_in: timedelta | None = None,
    digest: str = DigestAlgorithm.BLAKE3,
    libraries: Mapping[str, str] | None = None,
) -> Path:
    """Sign a package, and write its envelope beside it as `<package>.dsse.json`.

    Args:
        package: what `build_package` returned, which is fastest; or the path of a package that it wrote.
        key: signs it.
        name: the model's qualified name.
        version: version of the model's code.
        parameters_version: version of these parameters.
        serial: place in the model's line of packages; take a larger one for each new package.
        expires_in: how long it may be loaded; None for ever.
        digest: "blake3" or "sha256".
        libraries: more libraries whose versions matter, by name. Those that the pickles import are found by themselves.

    Returns:
        Path of the envelope.

    Raises:
        StorageError: there is no such package, or it cannot be read.
        ConfigurationError: a value is not usable, or the envelope cannot be written.
        MalformedPackage: it is no package of `build_package`.
        DigestMismatch: it is no longer what `build_package` wrote and returned.
        UnsafePickle: a pickle or skops file in it asks for what is never allowed, or is none.
    """
    path = Path(package)
    if digest not in tuple(DigestAlgorithm):
        raise ConfigurationError(
            "the digest algorithm is unknown", expected=" or ".join(DigestAlgorithm), found=repr(digest)
        )
    descriptor = FileStorage(path.parent).open_in_place(path.name)
    try:
        package_digest, files = _digests(package, descriptor, DigestAlgorithm(digest))
        globals_of = _globals(descriptor, files)
        created = datetime.now(UTC).replace(microsecond=0)
        statement = Statement(
            name=name,
            version=version,
            parameters_version=parameters_version,
            serial=serial,
            created=created,
            expires=None if expires_in is None else (created + expires_in).replace(microsecond=0),
            package_size=os.fstat(descriptor).st_size,
            package_digest=package_digest,
            files=files,
            runtime=_runtime(globals_of) | dict(libraries or {}),
            pickles=globals_of,
        )
    except ValidationError as error:
        raise ConfigurationError("the package cannot be signed", found=describe_problem(error)) from None
    except OverflowError:
        raise ConfigurationError(
            "the package cannot be signed", expected="it to expire before the year 10000"
        ) from None
    except OSError as error:
        raise Unavailable(f"{path} cannot be read", found=str(error.strerror)) from None
    finally:
        os.close(descriptor)
    envelope = Envelope(statement.to_payload(), ()).signed_by(key)
    target = path.with_name(path.name + ENVELOPE_SUFFIX)
    data = envelope.to_bytes()
    if len(data) > DEFAULT_LIMITS.envelope_bytes:
        raise ConfigurationError(
            "the envelope would be too large to be verified",
            expected=f"at most {DEFAULT_LIMITS.envelope_bytes} bytes",
            found=f"{len(data)} bytes",
            remedy="Put fewer files into the package.",
        )
    try:
        with replacement(target) as file:
            file.write(data)
    except OSError as error:
        raise ConfigurationError(f"envelope {target} cannot be written", found=str(error.strerror)) from None
    return target


def _digests(
    package: str | os.PathLike[str], descriptor: int, algorithm: DigestAlgorithm
) -> tuple[Digest, tuple[SignedFile, ...]]:
    """Return the digest of the package, and its files with theirs.

    Where the package is still what was built, so are its files: they need not be hashed once more.
    """
    if isinstance(package, BuiltPackage) and package.digest is not None and package.digest.algorithm is algorithm:
        found = digest_file(descriptor, algorithm)
        if not found.equals(package.digest):
            raise DigestMismatch(
                f"{package} is not the package that was built",
                expected=str(package.digest),
                found=str(found),
                remedy="Somebody changed it since: build it again. To sign what is there now, give its path as text.",
            )
        return found, package.files
    entries = check_layout(descriptor, list_files(descriptor)).values()
    ranges = [(entry.data_offset, entry.size) for entry in entries]
    found, digests = digest_file_and_ranges(descriptor, algorithm, ranges)
    return found, tuple(
        SignedFile(name=entry.name, size=entry.size, digest=digest)
        for entry, digest in zip(entries, digests, strict=True)
    )


def _globals(descriptor: int, files: tuple[SignedFile, ...]) -> dict[str, tuple[str, ...]]:
    """Return the globals of each file that loading makes objects of."""
    entries = check_layout(descriptor, [(file.name, file.size) for file in files])
    found = {}
    for name, entry in entries.items():
        with io.BufferedReader(FileRange(descriptor, entry.data_offset, entry.size)) as file:
            names = check_model(name, file)
        if names is not None:
            found[name] = names
    return found


def _runtime(globals_of: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the versions of Python and of the distributions that loading needs."""
    modules = {name.partition(":")[0].partition(".")[0] for names in globals_of.values() for name in names}
    modules |= {"skops" for name in globals_of if format_of(name) is Format.SKOPS}
    distributions = {
        distribution
        for module in modules - sys.stdlib_module_names
        for distribution in _distributions().get(module, ())
    }
    return {"python": platform.python_version()} | {name: _version(name) for name in sorted(distributions)}


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()

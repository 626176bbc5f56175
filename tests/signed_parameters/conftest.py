"""Keys, a workshop that makes good packages and forged ones, and a watch that sees what is unpickled."""

import importlib.util
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.digests import DigestAlgorithm, digest_bytes
from signed_parameters.envelope import Envelope
from signed_parameters.layout import Entry, closing_bytes
from signed_parameters.statement import ENVELOPE_SUFFIX, SignedFile, Statement

_specification = importlib.util.spec_from_file_location(
    "signed_parameters_memory_storage", Path(__file__).with_name("memory_storage.py")
)
assert _specification is not None
assert _specification.loader is not None
_memory_storage = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(_memory_storage)
MemoryStorage = _memory_storage.MemoryStorage

NAME = "package.zip"
CREATED = datetime(2026, 11, 21, tzinfo=UTC)
_WATCHED = ("pickle.find_class", "os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen")


class Watch:
    """Records events of the interpreter. Audit hooks cannot be removed, so there is one, which can be switched off."""

    def __init__(self) -> None:
        self.on = False
        self.events: list[tuple[str, object]] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: object) -> None:
        if self.on and event in _WATCHED:
            self.events.append((event, arguments))

    @contextmanager
    def watching(self) -> Iterator[list[tuple[str, object]]]:
        """Record while the block runs."""
        self.events, self.on = [], True
        try:
            yield self.events
        finally:
            self.on = False


@pytest.fixture(scope="session")
def watch() -> Watch:
    return Watch()


Refused = Callable[..., AbstractContextManager["pytest.ExceptionInfo[sp.SignedParametersError]"]]


@pytest.fixture
def refused(watch: Watch) -> Refused:
    """`with refused(Error):` expects just that error (or one of a tuple), and that nothing was unpickled or run."""

    @contextmanager
    def expect(
        *errors: type[sp.SignedParametersError], match: str | None = None
    ) -> Iterator["pytest.ExceptionInfo[sp.SignedParametersError]"]:
        with watch.watching() as events, pytest.raises(errors, match=match) as caught:
            yield caught
        assert events == []
        assert "\n" not in str(caught.value)

    return expect


class Workshop:
    """Makes packages, envelopes and statements from parts, so that each part can be made wrongly.

    Attributes:
        key: the trusted signer's.
        policy: trusts that key, for the model "m".
        storage: where `put` stores, and `verify` reads.
    """

    def __init__(self, key: sp.SigningKey) -> None:
        self.key = key
        self.policy = sp.TrustPolicy(name="m", keys=[key.verification_key])
        self.storage = MemoryStorage()

    def archive(self, files: Mapping[str, bytes]) -> bytes:
        """Return a good archive, with the entries in the order that is given."""
        entries: list[Entry] = []
        parts = []
        for name, data in files.items():
            entries.append(Entry(name, len(data), zlib.crc32(data), entries[-1].end if entries else 0))
            parts += [entries[-1].local_header(), data]
        return b"".join(parts) + closing_bytes(entries)

    def statement(self, archive: bytes, files: Mapping[str, bytes], **changes: Any) -> Statement:
        """Return a statement about an archive, true unless `changes` say otherwise."""
        algorithm = DigestAlgorithm.BLAKE3
        fields: dict[str, Any] = {
            "name": "m",
            "version": "0.1.0",
            "parameters_version": "1",
            "serial": 1,
            "created": CREATED,
            "package_size": len(archive),
            "package_digest": digest_bytes(archive, algorithm),
            "files": tuple(
                SignedFile(name=name, size=len(data), digest=digest_bytes(data, algorithm))
                for name, data in sorted(files.items())
            ),
            "runtime": {"python": "3.11.0"},
            "pickles": {},
        }
        return Statement(**{**fields, **changes})

    def envelope(self, statement: Statement | bytes, key: sp.SigningKey | None = None) -> bytes:
        """Return the envelope of a statement, or of any payload, validly signed."""
        payload = statement if isinstance(statement, bytes) else statement.to_payload()
        return Envelope(payload, ()).signed_by(key or self.key).to_bytes()

    def put(self, archive: bytes, envelope: bytes) -> None:
        self.storage.objects = {NAME: archive, NAME + ENVELOPE_SUFFIX: envelope}

    def put_signed(self, files: Mapping[str, bytes], archive: bytes | None = None, **changes: Any) -> None:
        """Store an archive (by default the good one) of files, with a validly signed statement about it."""
        archive = self.archive(dict(sorted(files.items()))) if archive is None else archive
        self.put(archive, self.envelope(self.statement(archive, files, **changes)))

    def verify(self, policy: sp.TrustPolicy | None = None, **options: Any) -> sp.VerifiedPackage:
        """Verify the package; and see that the initializer's way comes to the same end."""
        options = {"policy": policy or self.policy, "storage": self.storage, **options}
        try:
            package = sp.verify_package(NAME, **options)
        except sp.VerificationError as error:
            refusal = type(error)
            with tempfile.TemporaryDirectory() as folder:
                with pytest.raises(sp.VerificationError) as caught:
                    sp.extract_package(NAME, Path(folder, "models"), **options)
                assert caught.type is refusal
                assert os.listdir(folder) == []
            raise
        with tempfile.TemporaryDirectory() as folder:
            try:
                sp.extract_package(NAME, folder, **options)
            except sp.DigestMismatch:
                assert os.listdir(folder) == []
                with pytest.raises(sp.DigestMismatch):
                    list(map(package.read, package.names))
            else:
                for name in package.names:
                    assert Path(folder, name).read_bytes() == package.read(name)
        return package


@pytest.fixture(scope="session")
def key() -> sp.SigningKey:
    """An Ed25519 key, which policies here trust."""
    return sp.SigningKey.generate()


@pytest.fixture(scope="session")
def hmac_key() -> sp.SigningKey:
    return sp.SigningKey.generate("hmac-sha512")


@pytest.fixture
def workshop(key: sp.SigningKey) -> Workshop:
    return Workshop(key)


@pytest.fixture
def memory_storage() -> "MemoryStorage":
    return MemoryStorage()


@pytest.fixture
def policy(key: sp.SigningKey) -> sp.TrustPolicy:
    return sp.TrustPolicy(name="m", keys=[key.verification_key])


@pytest.fixture
def make_package(tmp_path: Path, key: sp.SigningKey) -> Callable[..., Path]:
    """`make_package({"model.pkl": b"..."}, serial=2)` builds and signs a package with the public functions."""

    def make(files: Mapping[str, bytes], *, name: str = NAME, **signing: Any) -> Path:
        sources = tmp_path / f"{name}.sources"
        sources.mkdir()
        for number, data in enumerate(files.values()):
            (sources / str(number)).write_bytes(data)
        path = sp.build_package(tmp_path / name, {file: sources / str(number) for number, file in enumerate(files)})
        what = {"key": key, "name": "m", "version": "0.1.0", "parameters_version": "1", "serial": 1}
        sp.sign_package(path, **{**what, **signing})
        return path

    return make

"""What tests of every package share: a real S3 server, and a bucket of their own in it."""

import ctypes
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import hypothesis
import pytest

from signed_parameters.local_server import LocalS3Server
from signed_parameters.storage.s3 import S3Settings

# What a script starts in its background ignores Ctrl-C, and so would each program that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Properties are tried with the same inputs wherever they are, and how long that takes decides nothing.
hypothesis.settings.register_profile(
    "the same everywhere",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("the same everywhere")


@dataclass(frozen=True)
class S3Server:
    """A running S3 server and the credentials of its owner."""

    url: str
    access_key: str
    secret_key: str

    @property
    def settings(self) -> S3Settings:
        return S3Settings(self.url, self.access_key, self.secret_key)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """The server that TEST_S3_ENDPOINT, TEST_S3_ACCESS_KEY and TEST_S3_SECRET_KEY name, else one of our own."""
    if endpoint := os.environ.get("TEST_S3_ENDPOINT"):
        yield S3Server(endpoint, os.environ["TEST_S3_ACCESS_KEY"], os.environ["TEST_S3_SECRET_KEY"])
        return
    with LocalS3Server() as server:
        yield S3Server(server.url, server.access_key, server.secret_key)


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> Iterator[str]:
    """A new, empty bucket, removed with all that is in it."""
    client = s3_server.settings.client()
    bucket = f"test-{secrets.token_hex(8)}"
    client.make_bucket(bucket)
    yield bucket
    for item in client.list_objects(bucket, recursive=True):
        client.remove_object(bucket, item.object_name)
    client.remove_bucket(bucket)


_CAPABILITIES_VERSION = 0x20080522
_OVERRIDE_PERMISSIONS = (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


@pytest.fixture
def permissions_count() -> Iterator[None]:
    """Let the permissions of files hold for root too, who otherwise may read everything."""
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root may read everything, and gives that up on Linux only")
    library = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    before = (ctypes.c_uint32 * 6)()
    assert library.capget(header, before) == 0
    reduced = (ctypes.c_uint32 * 6)(*before)
    reduced[0] &= ~_OVERRIDE_PERMISSIONS
    assert library.capset(header, reduced) == 0
    try:
        yield
    finally:
        assert library.capset(header, before) == 0

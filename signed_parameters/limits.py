"""Bounds on everything that is read from outside, in one place."""

from dataclasses import dataclass

MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30


@dataclass(frozen=True)
class Limits:
    """What verification reads at the most.

    Attributes:
        envelope_bytes: size of an envelope. It is read before its signature is known to hold.
        package_bytes: size of a package, as its signed statement gives it.
        signatures: signatures in one envelope.
        connect_seconds: wait for a storage server to accept a connection.
        read_seconds: wait for the next bytes of a storage server.
        download_seconds: wait for the whole of an object, however steadily its bytes drip in.
        listing_pages: answers of a storage server that one listing may take, of about 1,000 names each.
    """

    envelope_bytes: int = MEBIBYTE
    package_bytes: int = 64 * GIBIBYTE
    signatures: int = 16
    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    download_seconds: float = 3600.0
    listing_pages: int = 10_000


DEFAULT_LIMITS = Limits()
CHUNK_BYTES = MEBIBYTE

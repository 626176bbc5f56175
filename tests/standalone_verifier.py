"""Verifies a package with nothing of `signed_parameters`: written from docs/format.md alone, whose sections it names.

It leaves out what is not of the format: ranges of versions, revocation, several keys, loading pickles.
"""

import json
import re
import struct
from base64 import b64decode, b64encode, urlsafe_b64decode
from datetime import UTC, datetime
from hashlib import sha256, sha512
from hmac import compare_digest
from hmac import digest as hmac_digest
from typing import Any

from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
ENTRY = re.compile(r"(?=.{1,240}\Z)[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
GLOBAL = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*")
FULL = 0xFFFFFFFF


def need(condition: object, what: str) -> None:
    if not condition:
        raise ValueError(what)


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest_is(data: bytes, digest: dict[str, str]) -> bool:
    found = {"blake3": blake3, "sha256": sha256}[next(iter(digest))](data).hexdigest()
    return compare_digest(found, next(iter(digest.values())))


def signature_holds(key: str, key_id: str, message: bytes, signature: bytes) -> bool:  # section 6
    algorithm, _, text = key.partition(":")
    material = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if algorithm == "hmac-sha512":
        own_id = hmac_digest(material, b"signed_parameters key id v1", "sha512")[:16].hex()
        derived = hmac_digest(material, b"signed_parameters envelope v1", "sha512")
        return key_id == own_id and compare_digest(hmac_digest(derived, message, sha512), signature)
    try:
        Ed25519PublicKey.from_public_bytes(material).verify(signature, message)
    except InvalidSignature:
        return False
    return algorithm == "ed25519" and key_id == sha256(b"ed25519\0" + material).digest()[:16].hex()


def open_envelope(data: bytes, key: str) -> bytes:  # section 5
    need(len(data) <= 1 << 20, "the envelope is too large")
    envelope = json.loads(data)
    signed = [(s["keyid"], b64decode(s["sig"], validate=True)) for s in envelope["signatures"]]
    payload = b64decode(envelope["payload"], validate=True)
    need(len(signed) <= 16 and all(re.fullmatch("[!-~]{0,200}", key_id) for key_id, _ in signed), "signatures")
    written = {"payload": b64encode(payload).decode(), "payloadType": "application/vnd.in-toto+json"}
    written["signatures"] = [{"keyid": i, "sig": b64encode(s).decode()} for i, s in signed]  # type: ignore[assignment]
    need(canonical(written) + b"\n" == data, "the envelope is not in its one byte form")
    message = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)
    need(any(signature_holds(key, i, message, s) for i, s in signed), "no signature by the key holds")
    return payload


def integer(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


def digest(value: Any) -> bool:
    return list(value) in (["blake3"], ["sha256"]) and bool(re.fullmatch("[0-9a-f]{64}", *value.values()))


def time(value: str) -> datetime:
    need(re.fullmatch(r"[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value, re.ASCII), "a time")
    return datetime.fromisoformat(value)


def read_statement(payload: bytes) -> dict[str, Any]:  # section 4
    s = json.loads(payload)
    p, (subject,) = s["predicate"], s["subject"]
    need(canonical(s) == payload, "the statement is not in its one byte form")
    need((set(s), set(subject)) == ({"_type", "predicateType", "predicate", "subject"}, {"digest", "name"}), "members")
    need(s["_type"] == "https://in-toto.io/Statement/v1", "type")
    need(s["predicateType"] == "urn:signed-parameters:package:v1", "predicate type")
    members = "created files name package_size parameters_version pickles runtime serial version".split()
    need(set(p) - {"expires"} == set(members), "members of the predicate")
    labels = [p["name"], p["version"], p["parameters_version"], *p["runtime"], *p["runtime"].values()]
    need(all(LABEL.fullmatch(label) for label in labels), "labels")
    need(subject["name"] == "{name}-{version}-{parameters_version}.zip".format(**p), "the subject's name")
    need(all(map(integer, [p["serial"], p["package_size"], *(f["size"] for f in p["files"])])), "integers")
    need(all(map(digest, [subject["digest"], *(f["digest"] for f in p["files"])])), "digests")
    need(time(p["created"]) < time(p.get("expires", "9999-12-31T23:59:59Z")), "times")
    names = [f["name"] for f in p["files"]]
    need(all(set(f) == {"digest", "name", "size"} and ENTRY.fullmatch(f["name"]) for f in p["files"]), "files")
    need(0 < len(names) <= 10_000 and names == sorted(names), "the order of the files")
    need(len({name.lower() for name in names}) == len(names), "names that are the same")
    need(set(p["pickles"]) <= set(names), "pickles that are no files")
    need(all(type(g) is list and all(map(GLOBAL.fullmatch, g)) for g in p["pickles"].values()), "globals")
    return dict(p, digest=subject["digest"])


def read_archive(data: bytes, files: list[dict[str, Any]]) -> dict[str, bytes]:  # section 3
    start, directory, contents = 0, b"", {}
    for file in files:
        name, size = file["name"].encode(), file["size"]
        large, far, shown = size >= FULL, start >= FULL, min(size, FULL)
        fixed = struct.pack("<4H", 0, 0, 0, 0x21) + data[start + 14 : start + 18] + struct.pack("<2I", shown, shown)
        extra = struct.pack("<2H2Q", 1, 16, size, size) if large else b""
        header = struct.pack("<4sH", b"PK\3\4", 45 if large else 20) + fixed
        header += struct.pack("<2H", len(name), len(extra)) + name + extra
        need(data[start : start + len(header)] == header, f"the local header of {file['name']}")
        more = struct.pack("<2Q", size, size) * large + struct.pack("<Q", start) * far
        extra = struct.pack("<2H", 1, len(more)) + more if more else b""
        directory += struct.pack("<4s2H", b"PK\1\2", 0x032D, 45 if extra else 20) + fixed
        lengths = struct.pack("<5H2I", len(name), len(extra), 0, 0, 0, 0x81A40000, min(start, FULL))
        directory += lengths + name + extra
        contents[file["name"]] = data[start + len(header) : start + len(header) + size]
        start += len(header) + size
    count, size, end = len(files), len(directory), b""
    if size >= FULL or start >= FULL:
        end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 0x032D, 45, 0, 0, count, count, size, start)
        end += struct.pack("<4sIQI", b"PK\6\7", 0, start + size, 1)
    end += struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, min(size, FULL), min(start, FULL), 0)
    need(data[start:] == directory + end, "the directory")
    return contents


def verify(
    package: bytes, envelope: bytes, key: str, *, name: str, minimum_serial: int = 0, now: datetime | None = None
) -> dict[str, bytes]:
    """Section 7: return the package's files, or raise."""
    p = read_statement(open_envelope(envelope, key))
    need(p["name"] == name, "another model")
    need(p["serial"] >= minimum_serial, "rolled back")
    need("expires" not in p or (now or datetime.now(UTC)) < time(p["expires"]), "expired")
    need(len(package) == p["package_size"] and digest_is(package, p["digest"]), "the digest of the package")
    contents = read_archive(package, p["files"])
    for file in p["files"]:
        need(digest_is(contents[file["name"]], file["digest"]), f"the digest of {file['name']}")
    return contents

"""Archives that are not what they seem, under a valid signature by a trusted key; and the same brought to be signed.

Such a signer runs another implementation than ours, or was deceived. Serving must not depend on what it checked.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.layout import Entry, closing_bytes

FILES = {"a.txt": b"hello", "b.txt": b"world"}
Make = Callable[[Any], bytes]


def _zip(files: list[tuple[str, bytes]], **attributes: Any) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o100644 << 16
            for attribute, value in attributes.items():
                setattr(info, attribute, value)
            archive.writestr(info, content)
    return data.getvalue()


def _assembled(entries: list[Entry], contents: list[bytes], directory: list[Entry] | None = None) -> bytes:
    parts = [part for entry, content in zip(entries, contents, strict=True) for part in (entry.local_header(), content)]
    return b"".join(parts) + closing_bytes(directory or entries)


def _entries(files: dict[str, bytes]) -> list[Entry]:
    entries: list[Entry] = []
    for name, data in files.items():
        entries.append(Entry(name, len(data), zlib.crc32(data), entries[-1].end if entries else 0))
    return entries


def _renamed_in_the_directory(workshop: Any) -> bytes:
    entries = _entries(FILES)
    directory = [entries[0], Entry("c.txt", 5, entries[1].checksum, entries[1].offset)]
    return _assembled(entries, list(FILES.values()), directory)


def _renamed_in_the_local_header(workshop: Any) -> bytes:
    entries = _entries(FILES)
    local = [entries[0], Entry("c.txt", 5, entries[1].checksum, entries[1].offset)]
    return _assembled(local, list(FILES.values()), entries)


def _both_records_at_one_entry(workshop: Any) -> bytes:
    entries = _entries(FILES)
    directory = [entries[0], Entry("b.txt", 5, entries[0].checksum, entries[0].offset)]
    parts = b"".join(part for e, c in zip(entries, FILES.values(), strict=True) for part in (e.local_header(), c))
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2, 2, 102, len(parts), 0)
    return parts + b"".join(entry.directory_record() for entry in directory) + end


def _another_checksum_in_the_directory(workshop: Any) -> bytes:
    entries = _entries(FILES)
    directory = [entries[0], Entry("b.txt", 5, 7, entries[1].offset)]
    return _assembled(entries, list(FILES.values()), directory)


def _changed(at: bytes, offset: int, value: int) -> Make:
    def make(workshop: Any) -> bytes:
        data = bytearray(workshop.archive(FILES))
        data[data.index(at) + offset] = value
        return bytes(data)

    return make


def _between(workshop: Any) -> bytes:
    first, second = _entries(FILES)
    moved = Entry(second.name, second.size, second.checksum, second.offset + 4)
    start = first.local_header() + b"hello" + b"EVIL" + moved.local_header() + b"world"
    directory = first.directory_record() + moved.directory_record()
    return start + directory + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2, 2, len(directory), len(start), 0)


def _before_the_directory(workshop: Any) -> bytes:
    good = workshop.archive(FILES)
    at = good.index(b"PK\x01\x02")
    end = bytearray(good[at:])
    end[-6:-2] = struct.pack("<I", at + 4)
    return good[:at] + b"EVIL" + bytes(end)


def _prefixed_and_shifted(workshop: Any) -> bytes:
    entries = [Entry(e.name, e.size, e.checksum, e.offset + 4) for e in _entries(FILES)]
    return b"EVIL" + _assembled(entries, list(FILES.values()))


def _with_comment(workshop: Any) -> bytes:
    data = io.BytesIO(workshop.archive(FILES))
    with zipfile.ZipFile(data, "a") as archive:
        archive.comment = b"comment"
    return data.getvalue()


def _in_another_archive(workshop: Any) -> bytes:
    """A second end of the directory: readers that look from the front and from the back see different archives."""
    return bytes(workshop.archive(FILES) + workshop.archive({"a.txt": b"other", "b.txt": b"files"}))


ARCHIVES: dict[str, Make] = {
    "an entry added": lambda w: w.archive({**FILES, "c.txt": b"evil"}),
    "an entry added in front": lambda w: w.archive({"0.txt": b"evil", **FILES}),
    "an entry removed": lambda w: w.archive({"a.txt": b"hello"}),
    "no entry": lambda w: _zip([]),
    "an entry renamed": lambda w: w.archive({"a.txt": b"hello", "c.txt": b"world"}),
    "names exchanged": lambda w: w.archive({"b.txt": b"hello", "a.txt": b"world"}),
    "another order": lambda w: w.archive(dict(reversed(FILES.items()))),
    "an entry twice": lambda w: _zip([*FILES.items(), ("a.txt", b"hello")]),
    "an entry twice, in our layout": lambda w: _twice(),
    "an entry twice, with another content": lambda w: _zip([*FILES.items(), ("a.txt", b"evil!")]),
    "a name in upper case beside": lambda w: w.archive({"A.TXT": b"evil", **FILES}),
    "a path upwards": lambda w: _zip([*FILES.items(), ("../../evil", b"evil")]),
    "an absolute path": lambda w: _zip([*FILES.items(), ("/tmp/evil", b"evil")]),
    "a path with backslashes": lambda w: _zip([*FILES.items(), ("..\\evil", b"evil")]),
    "a folder": lambda w: _zip([*FILES.items(), ("folder/", b"")]),
    "symlinks": lambda w: _zip(list(FILES.items()), external_attr=0o120777 << 16),
    "executables": lambda w: _zip(list(FILES.items()), external_attr=0o100755 << 16),
    "devices": lambda w: _zip(list(FILES.items()), external_attr=0o020666 << 16),
    "another time": lambda w: _zip(list(FILES.items()), date_time=(2026, 1, 1, 0, 0, 0)),
    "extra fields": lambda w: _zip(list(FILES.items()), extra=b"\x01\x00\x00\x00"),
    "comments of entries": lambda w: _zip(list(FILES.items()), comment=b"x"),
    "compression": lambda w: _zip(list(FILES.items()), compress_type=zipfile.ZIP_DEFLATED),
    "a bomb": lambda w: _zip([("a.txt", bytes(50 << 20)), ("b.txt", b"world")], compress_type=zipfile.ZIP_DEFLATED),
    "a bomb of another compression": lambda w: _zip([("a.txt", bytes(1 << 20))], compress_type=zipfile.ZIP_LZMA),
    "python's own layout": lambda w: _zip(list(FILES.items())),
    "encryption": _changed(b"PK\x03\x04", 6, 1),
    "encryption in the directory": _changed(b"PK\x01\x02", 8, 1),
    "a data descriptor": _changed(b"PK\x03\x04", 6, 8),
    "compression in the local header only": _changed(b"PK\x03\x04", 8, 8),
    "compression in the directory only": _changed(b"PK\x01\x02", 10, 8),
    "another size in the local header": _changed(b"PK\x03\x04", 22, 4),
    "another size in the directory": _changed(b"PK\x01\x02", 24, 4),
    "another offset in the directory": _changed(b"PK\x01\x02", 42, 1),
    "another start of the directory": _changed(b"PK\x05\x06", 16, 1),
    "another count": _changed(b"PK\x05\x06", 10, 1),
    "another disk": _changed(b"PK\x05\x06", 4, 1),
    "a longer comment than there is": _changed(b"PK\x05\x06", 20, 1),
    "another name in the directory": _renamed_in_the_directory,
    "another name in the local header": _renamed_in_the_local_header,
    "another checksum in the directory": _another_checksum_in_the_directory,
    "two records for one entry": _both_records_at_one_entry,
    "data in front": lambda w: b"EVIL" + w.archive(FILES),
    "data in front, offsets corrected": _prefixed_and_shifted,
    "data between": _between,
    "data in front of the directory": _before_the_directory,
    "data behind": lambda w: w.archive(FILES) + b"EVIL",
    "a comment": _with_comment,
    "a second archive behind": _in_another_archive,
    "no zip": lambda w: b"not a zip, but long enough to hold one, or so it would seem to who counts the bytes",
    "nothing": lambda w: b"",
}


def _twice() -> bytes:
    entries: list[Entry] = []
    for name, data in [("a.txt", b"hello"), ("a.txt", b"hello"), ("b.txt", b"world")]:
        entries.append(Entry(name, len(data), zlib.crc32(data), entries[-1].end if entries else 0))
    return _assembled(entries, [b"hello", b"hello", b"world"])


@pytest.fixture(params=ARCHIVES)
def archive(request: pytest.FixtureRequest, workshop: Any, recwarn: pytest.WarningsRecorder) -> bytes:
    return ARCHIVES[request.param](workshop)


pytestmark = pytest.mark.filterwarnings("ignore:Duplicate name")


def test_an_archive_that_differs_from_its_signed_list(workshop: Any, refused: Any, archive: bytes) -> None:
    """The digest of the whole archive is signed and right: only its inside is wrong."""
    workshop.put_signed(FILES, archive)
    with refused(sp.MalformedPackage, match="not the one that the statement describes"):
        workshop.verify()


def test_an_archive_that_was_exchanged_after_signing(workshop: Any, refused: Any, archive: bytes) -> None:
    workshop.put_signed(FILES)
    workshop.storage.objects["package.zip"] = archive
    with refused(sp.DigestMismatch):
        workshop.verify()


_OTHER_PACKAGES = (
    "an entry added",
    "an entry added in front",
    "an entry removed",
    "an entry renamed",
    "names exchanged",
)
_UNFIT = [name for name in ARCHIVES if name not in _OTHER_PACKAGES]


@pytest.mark.parametrize("name", _UNFIT)
def test_an_archive_that_is_brought_to_be_signed(
    workshop: Any, refused: Any, tmp_path: Path, key: sp.SigningKey, name: str
) -> None:
    path = tmp_path / "package.zip"
    path.write_bytes(ARCHIVES[name](workshop))
    with refused(sp.MalformedPackage):
        sp.sign_package(path, key=key, name="m", version="1", parameters_version="1", serial=1)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "..", ".", "C:evil", "a\\..\\evil", ".ssh/x"])
def test_a_signed_list_with_a_path_that_leads_astray(workshop: Any, refused: Any, name: str) -> None:
    archive = _zip([(name, b"evil!")])
    payload = workshop.statement(archive, {"a.txt": b"evil!"}).to_payload()
    shown = name.replace("\\", "\\\\").encode()
    workshop.put(archive, workshop.envelope(payload.replace(b'"name":"a.txt"', b'"name":"' + shown + b'"')))
    with refused(sp.MalformedPackage, match="cannot be a file of a package"):
        workshop.verify()


@pytest.mark.parametrize(
    "files",
    [{"a.txt": b"hello", "b.txt": b"worlD"}, {"a.txt": b"world", "b.txt": b"hello"}],
    ids=["changed", "swapped"],
)
def test_a_file_that_differs_from_its_own_digest(workshop: Any, refused: Any, files: dict[str, bytes]) -> None:
    """The layout fits, and the digest of the whole: the file's own digest is what is left."""
    workshop.put_signed(FILES, workshop.archive(files))
    with workshop.verify() as package, refused(sp.DigestMismatch, match=r"b.txt in the package is not what was signed"):
        package.read("b.txt")


def test_sizes_that_add_up_to_more_than_there_is(workshop: Any, refused: Any) -> None:
    for size in (2**31, 2**32, 2**53 - 1):
        archive = Entry("a.txt", size, 0, 0).local_header() + b"hello"
        payload = workshop.statement(archive, FILES).to_payload()
        workshop.put(archive, workshop.envelope(payload.replace(b'"size":5', b'"size":%d' % size)))
        with refused(sp.MalformedPackage):
            workshop.verify()

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import signed_parameters as sp
from signed_parameters.digests import Digest
from signed_parameters.statement import Statement, describe_problem

FILES = {"a.txt": b"a", "b/model.pkl": b"N."}
TIME = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def payload(workshop: Any) -> bytes:
    made: bytes = workshop.statement(
        workshop.archive(FILES), FILES, pickles={"b/model.pkl": ("collections:OrderedDict",)}
    ).to_payload()
    return made


def _compact(fields: object) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def _changed(payload: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    fields = json.loads(payload)
    change(fields)
    return _compact(fields)


def test_a_statement_survives_its_byte_form(payload: bytes) -> None:
    assert Statement.from_payload(payload).to_payload() == payload


def test_a_statement_is_an_in_toto_statement_about_the_package(payload: bytes) -> None:
    fields = json.loads(payload)
    assert fields["_type"] == "https://in-toto.io/Statement/v1"
    assert fields["subject"][0]["name"] == "m-0.1.0-1.zip"
    assert set(fields["subject"][0]["digest"]) == {"blake3"}
    assert set(fields) == {"_type", "subject", "predicateType", "predicate"}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "..",
            "../a",
            "a/..",
            "a/../b",
            "/a",
            "//a",
            "a//b",
            "a/",
            "",
            ".",
            "./a",
            ".hidden",
            "a/.git/x",
            "-rf",
            "a/-b",
        ),
        *(
            "C:\\a",
            "a\\b",
            "C:a",
            "a\0b",
            "a\n",
            "a b",
            "é",
            "a\u202eb",
            "~/a",
            "$HOME",
            "a" * 241,
            "a:stream",
            "a%2f..",
        ),
    ],
)
def test_a_file_name_that_leads_astray_is_refused(payload: bytes, name: str) -> None:
    data = _changed(
        payload, lambda fields: fields["predicate"]["files"].__setitem__(0, {**_file(fields), "name": name})
    )
    with pytest.raises(sp.MalformedPackage, match=re.escape("the statement is not usable: found files.0.name")):
        Statement.from_payload(data)


def _file(fields: dict[str, Any]) -> dict[str, Any]:
    file: dict[str, Any] = fields["predicate"]["files"][0]
    return file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f["predicate"].update(files=[]), "files"),
        (lambda f: f["predicate"]["files"].reverse(), "order of their names"),
        (lambda f: f["predicate"]["files"].insert(0, _file(f)), "each once"),
        (lambda f: f["predicate"]["files"].insert(0, {**_file(f), "name": "A.TXT"}), "upper or lower case"),
        (lambda f: f["predicate"]["pickles"].update(missing=[]), "not among the files"),
        (lambda f: f["predicate"]["pickles"].update({"a.txt": ["os.path"]}), "pickles"),
        (lambda f: f["predicate"]["pickles"].update({"a.txt": ["logging:os.mkdir"]}), "pickles"),
        (lambda f: f["predicate"]["pickles"].update({"a.txt": ["os:system\n"]}), "pickles"),
        (lambda f: f["predicate"].update(serial=-1), "serial"),
        (lambda f: f["predicate"].update(serial=1.0), "serial"),
        (lambda f: f["predicate"].update(serial="1"), "serial"),
        (lambda f: f["predicate"].update(serial=True), "serial"),
        (lambda f: f["predicate"].update(serial=2**53), "serial"),
        (lambda f: f["predicate"].update(package_size=-1), "package_size"),
        (lambda f: _file(f).update(size=-1), "size"),
        (lambda f: _file(f).update(mode=0o777), "mode"),
        (lambda f: f["predicate"].update(name=""), "name"),
        (lambda f: f["predicate"].update(name="../m"), "name"),
        (lambda f: f["predicate"].update(name="m\n"), "name"),
        (lambda f: f["predicate"].update(version="é"), "version"),
        (lambda f: f["predicate"].update(runtime={"python": "\x1b[2J"}), "runtime"),
        (lambda f: f["predicate"].update(runtime={"\n": "1"}), "runtime"),
        (lambda f: f["predicate"].update(surprise=1), "surprise"),
        (lambda f: f["predicate"].pop("serial"), "serial"),
        (lambda f: f["predicate"].update(created="2026-11-21"), "created"),
        (lambda f: f["predicate"].update(created=7), "created"),
        (lambda f: f["predicate"].update(expires="2026-11-21T00:00:00Z"), "expires before it was created"),
        (lambda f: f["predicate"].update(name="\ud800"), "Invalid JSON"),
        (lambda f: f["subject"][0].update(digest={"md5": "0" * 32}), "package_digest"),
        (lambda f: f["subject"][0].update(digest={"blake3": "0" * 63}), "package_digest"),
        (lambda f: f["subject"][0].update(digest={"blake3": "A" * 64}), "package_digest"),
        (lambda f: f["subject"][0].update(digest={"blake3": ["a"] * 64}), "package_digest"),
        (lambda f: f["subject"][0].update(digest={"blake3": 7}), "package_digest"),
        (lambda f: f["subject"][0].update(digest={"blake3": "0" * 64, "sha256": "0" * 64}), "package_digest"),
        (lambda f: f["subject"][0].update(digest={}), "package_digest"),
        (lambda f: _file(f).update(digest={"blake3": ["a"] * 64}), "digest"),
    ],
)
def test_a_statement_that_breaks_the_format_names_the_field(
    payload: bytes, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(sp.MalformedPackage, match=message) as caught:
        Statement.from_payload(_changed(payload, change))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda f: f.update(predicateType="urn:signed-parameters:package:v2"),
        lambda f: f.update(comment=1),
        lambda f: f["subject"].append(f["subject"][0]),
        lambda f: f["subject"][0].update(name="other.zip"),
        lambda f: f["predicate"].update(expires=None),
    ],
)
def test_a_statement_with_another_type_or_subject_is_refused(
    payload: bytes, change: Callable[[dict[str, Any]], object]
) -> None:
    with pytest.raises(sp.MalformedPackage, match=r"one byte form|another kind"):
        Statement.from_payload(_changed(payload, change))


def test_every_other_spelling_of_a_statement_is_refused(payload: bytes, refused: Any) -> None:
    spellings = {
        "line end": payload + b"\n",
        "space": payload.replace(b",", b", ", 1),
        "byte order mark": b"\xef\xbb\xbf" + payload,
        "UTF-16": payload.decode().encode("utf-16"),
        "duplicate key": payload.replace(b'"serial":1', b'"serial":9,"serial":1'),
        "number": payload.replace(b'"serial":1', b'"serial":1e0'),
        "escape": payload.replace(b'"serial"', b'"\\u0073erial"'),
        "time": payload.replace(b"2026-11-21T00:00:00Z", b"2026-11-21T0:0:0Z"),
    }
    for name, data in spellings.items():
        assert data != payload, name
        with refused(sp.MalformedPackage):
            Statement.from_payload(data)
            pytest.fail(name)


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b"7", b'{"predicate":[],"subject":[]}', b'{"predicate":{},"subject":[]}', b"[" * 300_000],
)
def test_what_is_no_statement_is_refused(payload: bytes) -> None:
    with pytest.raises(sp.MalformedPackage, match="cannot be read"):
        Statement.from_payload(payload)


def test_more_files_than_allowed_are_refused(workshop: Any) -> None:
    files = {f"{number:05}": b"" for number in range(10_001)}
    with pytest.raises(ValidationError) as caught:
        workshop.statement(b"", files)
    assert describe_problem(caught.value).startswith("files:")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_our_error(data: bytes) -> None:
    with pytest.raises(sp.MalformedPackage):
        Statement.from_payload(data)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)
_PREDICATE = ("name", "version", "serial", "created", "expires", "package_size", "files", "runtime", "pickles")


@given(field=st.sampled_from((*_PREDICATE, "digest", "file digest", "file size")), value=_json)
def test_any_value_in_any_field_raises_nothing_but_our_error(field: str, value: object) -> None:
    fields: dict[str, Any] = {
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "urn:signed-parameters:package:v1",
        "subject": [{"name": "m-1-1.zip", "digest": {"blake3": "0" * 64}}],
        "predicate": {
            **{"name": "m", "version": "1", "parameters_version": "1", "serial": 1, "runtime": {}, "pickles": {}},
            **{"created": "2026-11-21T00:00:00Z", "package_size": 1},
            "files": [{"name": "a", "size": 1, "digest": {"blake3": "0" * 64}}],
        },
    }
    Statement.from_payload(_compact(fields))
    if field == "digest":
        fields["subject"][0]["digest"] = value
    elif field.startswith("file "):
        fields["predicate"]["files"][0][field.removeprefix("file ")] = value
    else:
        fields["predicate"][field] = value
    try:
        statement = Statement.from_payload(_compact(fields))
    except sp.MalformedPackage:
        return
    assert isinstance(statement.package_digest, Digest)
    assert all(isinstance(file.digest.value, str) for file in statement.files)


def test_a_time_keeps_its_second(workshop: Any) -> None:
    statement = workshop.statement(b"x", FILES, expires=TIME + timedelta(seconds=1))
    assert Statement.from_payload(statement.to_payload()).expires == TIME + timedelta(seconds=1)

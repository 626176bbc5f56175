"""Files of YAML that two readers could take differently, and files that would cost too much."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import signed_parameters as sp
from signed_parameters.strict_yaml import MAXIMUM_BYTES, read_yaml

Read = Callable[[str | bytes], Any]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """`read(text)` writes a file and reads it."""

    def write_and_read(content: str | bytes) -> Any:
        path = tmp_path / "file.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_yaml(path, "test file")

    return write_and_read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", 1),
        ("a: -7", -7),
        ("a: 0", 0),
        ("a: 0.5", 0.5),
        ("a: true", True),
        ("a: False", False),
        ("a: null", None),
        ("a: ~", None),
        ("a:", None),
        ("a: ''", ""),
        ("a: 'yes'", "yes"),
        ('a: "2026_11_21"', "2026_11_21"),
        ("a: '~'", "~"),
        ("a: tRue", "tRue"),
        ("a: 1.2.3", "1.2.3"),
        ("a: 90d", "90d"),
        ("a: blake3:00", "blake3:00"),
        ("a: numpy:ndarray", "numpy:ndarray"),
        ("a: 2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("a: [1, x, [y]]", [1, "x", ["y"]]),
        ("a: {b: {c: d}}", {"b": {"c": "d"}}),
        ("a: |\n  two\n  lines\n", "two\nlines\n"),
        ("a: größer", "größer"),
        ("\ufeffa: 1", 1),
        ("---\na: 1\n...\n", 1),
    ],
)
def test_what_is_plain_is_read(read: Read, text: str, value: object) -> None:
    found = read(text)
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


@pytest.mark.parametrize("text", ["name: m\nlist: [1, 2.5, true, null, x]\n", "a: {b: 'c', d: [e, {f: 7}]}\n"])
def test_what_is_plain_is_what_other_readers_read(read: Read, text: str) -> None:
    assert read(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "scalar",
    "2026_11_21 1_000 010 0o17 0x1F 0b11 1:30 +5 1e3 1E5 12e03 1.5e+3 .5 5. .inf -.INF .nan yes No ON off YES "
    "2026-11-21 2001-12-14t21:59:43.10-05:00 1234567890123456789012 = <<".split(),
)
@pytest.mark.parametrize("form", ["a: {}", "a: [{}]", "a: {{b: {}}}", "{}: 1"])
def test_what_could_be_taken_differently_is_refused(read: Read, scalar: str, form: str) -> None:
    with pytest.raises(sp.ConfigurationError, match=r"\(line 1\): expected text in quotes.*Put it in quotes"):
        read(form.format(scalar))
    assert read(form.format(f"'{scalar}'"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", r"at a \(line 3\): expected each key once"),
        ("a:\n  b: 1\n  'b': 2", r"at a.b \(line 3\): expected each key once"),
        ("a: [{b: 1, b: 2}]", "at a.0.b .*each key once"),
        ("a: &x 1\nb: *x", "expected no anchors and aliases"),
        ("a: *x", "expected no anchors and aliases"),
        ("a: {<<: {b: 1}}", "found <<, which YAML can take for a sign of its own"),
        ("a: !!python/object/apply:os.system [echo]", "expected no tags"),
        ("a: !!int '3'", "expected no tags"),
        ("a: ! 3", "expected no tags"),
        ("!!map {a: 1}", "expected no tags"),
        ("1: a", "keys that are text"),
        ("[a]: 1", "keys that are text"),
        ("? {a: 1}\n: 1", "keys that are text"),
        ("~: 1", "keys that are text"),
        (r'a: "\ud800"', "half a character"),
        ("[" * 5000, "at most 32 levels"),
        ("{a: " * 5000, "at most 32 levels"),
        ("- " * 5000, "at most 32 levels"),
        ("", "at its top: expected a mapping, found nothing"),
        ("just text", "expected a mapping, found 'just text'"),
        ("[a, b]", "expected a mapping, found a list"),
        ("7", "expected a mapping, found 7"),
        ("a: [1", "is not YAML at line"),
        ("a: 1\n---\nb: 2", "is not YAML at line 2: expected one document"),
        ("a: >=0.1", "is not YAML at line 1"),
        ("a:\tb: c", "is not YAML"),
        ("a: \x00", "is not YAML"),
        (b"a: \xff", "expected one document in UTF-8"),
        ("a: 1".encode("utf-16"), "expected one document in UTF-8"),
        (b"\x00" * 100, "is not YAML"),
    ],
)
def test_what_is_not_plain_is_refused(read: Read, text: str | bytes, message: str) -> None:
    with pytest.raises(sp.ConfigurationError, match=message) as caught:
        read(text)
    assert "the test file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bomb_of_aliases_is_not_unfolded(read: Read) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    with pytest.raises(sp.ConfigurationError, match="no anchors and aliases"):
        read("\n".join(lines))


def test_a_file_that_is_too_large_is_refused(read: Read) -> None:
    comment = "a: 1\n#"
    assert read(comment.ljust(MAXIMUM_BYTES, "x")) == {"a": 1}
    with pytest.raises(sp.ConfigurationError, match="is too large: expected at most 262,144 bytes"):
        read(comment.ljust(MAXIMUM_BYTES + 1, "x"))


@pytest.mark.parametrize("path", ["missing.yaml", ".", "x" * 5000, "a\0b", "/dev/zero"])
def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(sp.ConfigurationError, match=r"cannot be read|is too large"):
        read_yaml(path, "test file")


_PIECES = st.sampled_from(
    [*"{}[]:,-?!&*#|>'\"%@`~=<.\n\t 017eE+_", "a", "yes", "\\u", "!!", "\ud7ff", "\x85", "- ", ": "]
)


@settings(max_examples=300)
@given(content=st.one_of(st.binary(max_size=200), st.lists(_PIECES, max_size=60).map("".join)))
def test_whatever_is_in_a_file_ends_in_a_mapping_or_in_an_error_of_ours(read: Read, content: str | bytes) -> None:
    with suppress(sp.ConfigurationError):
        assert isinstance(read(content), dict)

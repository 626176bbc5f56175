"""Reading a YAML file in one way only: what two readers could take differently is refused.

YAML 1.1, which Python reads, and YAML 1.2, which editors read, take `2026_11_21`, `yes`, `010` or `1e3` for different
things, and of a key that stands twice most readers take the last. A file that was reviewed must mean what it seems to.
So keys stand once, what is not plainly a number, true, false or nothing is text, and there are no anchors or tags.
"""

import os
import re
from typing import TypeAlias

import yaml

from signed_parameters.errors import ConfigurationError
from signed_parameters.limits import MEBIBYTE

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

MAXIMUM_BYTES = MEBIBYTE // 4
_MAXIMUM_DEPTH = 32
_PREFIX = "tag:yaml.org,2002:"
_CONSTANTS = {
    spelling: value
    for word, value in (("true", True), ("false", False), ("null", None), ("~", None), ("", None))
    for spelling in (word, word.capitalize(), word.upper())
}
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,18})\.[0-9]{1,18}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_NUMBER_OF_YAML_1_2 = re.compile(r"[-+]?(\.?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+)")
_TAKEN_FOR = {
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
    "timestamp": "a date",
}


class _Refused(Exception):
    """Something that YAML allows and this reader does not."""

    def __init__(self, mark: yaml.Mark, where: str, *, expected: str, found: str, remedy: str = "") -> None:
        super().__init__(where)
        self.line = mark.line + 1
        self.where = where
        self.details = {"expected": expected, "found": found, "remedy": remedy}


class _Loader(yaml.SafeLoader):
    """Composes nodes, but follows no alias, believes no tag, and goes down so far only."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose the next node, unless it has an anchor or a tag, or is too deep."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None:
            raise _Refused(event.start_mark, "", expected="no anchors and aliases", found=f"one, {event.anchor!r}")
        if event.tag is not None:
            raise _Refused(event.start_mark, "", expected="no tags", found=f"one, {event.tag!r}")
        if self.depth >= _MAXIMUM_DEPTH:
            raise _Refused(event.start_mark, "", expected=f"at most {_MAXIMUM_DEPTH} levels", found="more")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def read_yaml(path: str | os.PathLike[str], what: str, remedy: str = "") -> dict[str, Value]:
    """Read a YAML file of at most 256 KiB that holds one mapping.

    Args:
        path: the file.
        what: what it is, for errors, such as "trust policy".
        remedy: what to do where the file cannot be read.

    Returns:
        The mapping: text, numbers, true, false, None, lists and mappings.

    Raises:
        ConfigurationError: it cannot be read, is no YAML, holds no mapping, or could be taken differently.
    """
    what = f"the {what} {os.fspath(path)}"
    try:
        with open(path, "rb") as file:
            data = file.read(MAXIMUM_BYTES + 1)
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        found = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"{what} cannot be read", found=found, remedy=remedy) from None
    return parse_yaml(data, what)


def parse_yaml(data: bytes, what: str) -> dict[str, Value]:
    """Read YAML of at most 256 KiB that holds one mapping.

    Args:
        data: UTF-8.
        what: what it is, for errors, with its article.

    Raises:
        ConfigurationError: it is no YAML, holds no mapping, or could be taken differently.
    """
    if len(data) > MAXIMUM_BYTES:
        raise ConfigurationError(f"{what} is too large", expected=f"at most {MAXIMUM_BYTES:,} bytes", found="more")
    try:
        value = _value(_Loader(data.decode()).get_single_node(), "")
    except _Refused as error:
        where = f" at {error.where}" if error.where else ""
        raise ConfigurationError(f"{what} is not usable{where} (line {error.line})", **error.details) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        found = f"{getattr(error, 'problem', None) or 'a character that YAML does not allow'}"
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(f"{what} is not YAML{where}", expected="one document in UTF-8", found=found) from None
    if not isinstance(value, dict):
        raise ConfigurationError(f"{what} is not usable at its top", expected="a mapping", found=describe(value))
    return value


def describe(value: Value) -> str:
    """Return what a value is, for a message: text in quotes, and of lists and mappings their kind only."""
    if isinstance(value, dict | list):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"a {kind}" if value else f"an empty {kind}"
    if isinstance(value, str):
        return repr(value if len(value) <= 100 else f"{value[:100]}...")
    return "nothing" if value is None else f"{value}".lower()


def _value(node: yaml.Node | None, where: str) -> Value:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, where)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, _below(where, index)) for index, item in enumerate(node.value)]
    return _scalar(node, where) if isinstance(node, yaml.ScalarNode) else None


def _mapping(node: yaml.MappingNode, where: str) -> dict[str, Value]:
    fields: dict[str, Value] = {}
    for key, value in node.value:
        name = _scalar(key, where) if isinstance(key, yaml.ScalarNode) else None
        if not isinstance(name, str):
            raise _Refused(key.start_mark, where, expected="keys that are text", found="another")
        if name in fields:
            raise _Refused(key.start_mark, _below(where, name), expected="each key once", found="it a second time")
        fields[name] = _value(value, _below(where, name))
    return fields


def _scalar(node: yaml.ScalarNode, where: str) -> Value:
    text: str = node.value
    if node.style is None and text in _CONSTANTS:
        return _CONSTANTS[text]
    if node.style is None and _INTEGER.fullmatch(text):
        return int(text)
    if node.style is None and _DECIMAL.fullmatch(text):
        return float(text)
    kind = node.tag.removeprefix(_PREFIX)
    if node.style is None and kind == "str" and _NUMBER_OF_YAML_1_2.fullmatch(text):
        kind = "float"
    if node.style is None and kind != "str" and not _TIME.fullmatch(text):
        raise _Refused(
            node.start_mark,
            where,
            expected="text in quotes, or a number in plain decimal digits",
            found=f"{text[:100]}, which YAML can take for {_TAKEN_FOR.get(kind, 'a sign of its own')}",
            remedy="Put it in quotes, if it is text.",
        )
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise _Refused(node.start_mark, where, expected="text", found="half a character")
    return text


def _below(where: str, part: str | int) -> str:
    return f"{where}.{part}" if where else f"{part}"

"""Puts Parquet files of the same columns together without reading their data again: only the footer is written anew.

A Parquet file is its row groups, then a footer that says where each column of each begins, then the footer's length.
The row groups are copied as they are, and the places that the footer gives are moved. The footer is a structure in
Thrift's compact protocol, which is read and written here as far as a footer needs it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAGIC = b"PAR1"
TAIL_BYTES = 8  # the footer's length, and the magic bytes

_TRUE, _FALSE, _BYTE, _I16, _I64, _DOUBLE, _BINARY, _LIST, _STRUCT = 1, 2, 3, 4, 6, 7, 8, 9, 12
_INTEGERS = range(_I16, _I64 + 1)
_LONG_LIST = 15

# Numbers of the fields that are looked at, in the order of parquet.thrift.
_FILE_ROWS, _FILE_GROUPS = 3, 4
_GROUP_COLUMNS, _GROUP_OFFSET, _GROUP_ORDINAL = 1, 5, 7
_CHUNK_OFFSET, _CHUNK_METADATA = 2, 3
_CHUNK_INDEXES = (4, 5, 6, 7)  # of pages: the parts have none, and a place that is not moved would lead astray
_COLUMN_OFFSETS = (9, 10, 11)


@dataclass
class _Field:
    number: int
    kind: int
    value: Any


class RowGroups:
    """Where the row groups of several Parquet files are, when their data are one file."""

    def __init__(self) -> None:
        self._groups: list[list[_Field]] = []
        self._rows = 0

    def add(self, content: bytes, moved: int) -> None:
        """Add the row groups of a file.

        Args:
            content: its footer, without the length.
            moved: how many bytes further on its data are in the new file.
        """
        fields = _read_struct(_Bytes(content))
        groups = _field(fields, _FILE_GROUPS).value[1]
        for group in groups:
            _move(group, moved)
        self._groups.extend(groups)
        self._rows += _field(fields, _FILE_ROWS).value

    def footer(self, empty: bytes) -> bytes:
        """Return the new file's footer, its length, and the magic bytes: all that stands behind the data.

        Args:
            empty: the footer of a file without rows, which has everything else.
        """
        fields = _read_struct(_Bytes(empty))
        _field(fields, _FILE_GROUPS).value[1].extend(self._groups)
        _field(fields, _FILE_ROWS).value += self._rows
        content = b"".join(_write_struct(fields))
        return content + struct.pack("<I", len(content)) + MAGIC


def _move(group: list[_Field], moved: int) -> None:
    for field in group:
        if field.number == _GROUP_OFFSET:
            field.value += moved
    group[:] = [field for field in group if field.number != _GROUP_ORDINAL]  # 16 bits, and for encryption only
    for chunk in _field(group, _GROUP_COLUMNS).value[1]:
        chunk[:] = [field for field in chunk if field.number not in _CHUNK_INDEXES]
        for field in chunk:
            if field.number == _CHUNK_OFFSET and field.value:
                field.value += moved
        for field in _field(chunk, _CHUNK_METADATA).value:
            if field.number in _COLUMN_OFFSETS:
                field.value += moved


def _field(fields: list[_Field], number: int) -> _Field:
    return next(field for field in fields if field.number == number)


class _Bytes:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def take(self, count: int) -> bytes:
        taken = self._content[self._position : self._position + count]
        if len(taken) < count:
            raise ValueError("the footer ends early")
        self._position += count
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        number, shift = 0, 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7

    def signed(self) -> int:
        number = self.varint()
        return (number >> 1) ^ -(number & 1)


def _read_struct(source: _Bytes) -> list[_Field]:
    fields: list[_Field] = []
    number = 0
    while head := source.byte():
        kind = head & 0x0F
        number = number + (head >> 4) if head >> 4 else source.signed()
        fields.append(_Field(number, kind, None if kind in (_TRUE, _FALSE) else _read_value(source, kind)))
    return fields


def _read_value(source: _Bytes, kind: int) -> Any:
    if kind in _INTEGERS:
        return source.signed()
    if kind == _BINARY:
        return source.take(source.varint())
    if kind == _STRUCT:
        return _read_struct(source)
    if kind == _LIST:
        head = source.byte()
        size = head >> 4 if head >> 4 != _LONG_LIST else source.varint()
        return head & 0x0F, [_read_value(source, head & 0x0F) for _ in range(size)]
    if kind in (_TRUE, _FALSE, _BYTE):
        return source.byte()
    if kind == _DOUBLE:
        return source.take(8)
    raise ValueError(f"a footer has no values of kind {kind}")


def _write_struct(fields: list[_Field]) -> Iterator[bytes]:
    last = 0
    for field in fields:
        step = field.number - last
        yield bytes([step << 4 | field.kind]) if 0 < step <= 15 else bytes([field.kind]) + _signed(field.number)
        last = field.number
        if field.kind not in (_TRUE, _FALSE):
            yield from _write_value(field.kind, field.value)
    yield b"\0"


def _write_value(kind: int, value: Any) -> Iterator[bytes]:
    if kind in _INTEGERS:
        yield _signed(value)
    elif kind == _BINARY:
        yield _varint(len(value)) + value
    elif kind == _STRUCT:
        yield from _write_struct(value)
    elif kind == _LIST:
        inner, items = value
        size = len(items)
        yield bytes([size << 4 | inner]) if size < _LONG_LIST else bytes([_LONG_LIST << 4 | inner]) + _varint(size)
        for item in items:
            yield from _write_value(inner, item)
    elif kind == _DOUBLE:
        yield value
    else:
        yield bytes([value])


def _signed(number: int) -> bytes:
    return _varint(number << 1 if number >= 0 else (-number << 1) - 1)


def _varint(number: int) -> bytes:
    content = bytearray()
    while number >= 0x80:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    content.append(number)
    return bytes(content)

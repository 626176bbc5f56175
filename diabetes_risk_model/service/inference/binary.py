"""The protocol's binary tensors: little-endian, row by row, after the JSON, in the order of the tensors.

Text is a length, of four bytes, and so many bytes.
"""

import re
import struct
import sys
from array import array
from collections.abc import Iterable, Mapping

from diabetes_risk_model.service.bodies import bad_body

HEADER = b"inference-header-content-length"
MEDIA_TYPE = "application/octet-stream"

_LENGTH = struct.Struct("<I")
_DECIMAL = re.compile(rb"[0-9]{1,18}")
_TYPE_CODES = {"FP64": "d", "FP32": "f"}


def split_body(headers: Mapping[bytes, bytes], body: bytes) -> tuple[bytes, bytes]:
    """Return the JSON of a body, and what comes after it.

    Raises:
        RequestRefused: 400: the header that says where the JSON ends is no number, or beyond the end.
    """
    given = headers.get(HEADER)
    if given is None:
        return body, b""
    if not _DECIMAL.fullmatch(given) or int(given) > len(body):
        raise bad_body("The header Inference-Header-Content-Length must be the size of the JSON in the body, in bytes.")
    return body[: int(given)], body[int(given) :]


def read_numbers(name: str, content: bytes, datatype: str, number: int) -> list[float]:
    """Return the numbers of a tensor.

    Raises:
        RequestRefused: 400: there are more or less than `number`.
    """
    numbers: array[float] = array(_TYPE_CODES[datatype])
    size = number * numbers.itemsize
    if len(content) != size:
        raise bad_body(
            f"Input '{name}': its shape says {size} bytes of {datatype}, its binary data are {len(content)}."
        )
    numbers.frombytes(content)
    _little_endian(numbers)
    return numbers.tolist()


def read_texts(name: str, content: bytes, number: int) -> list[str]:
    """Return the texts of a tensor.

    Raises:
        RequestRefused: 400: there are more or less than `number`, or one is not UTF-8.
    """
    texts = []
    position = 0
    for _ in range(number):
        start = position + _LENGTH.size
        if start > len(content):
            break
        position = start + _LENGTH.unpack_from(content, start - _LENGTH.size)[0]
        if position > len(content):
            break
        try:
            texts.append(content[start:position].decode())
        except UnicodeDecodeError:
            raise bad_body(f"Input '{name}': element {len(texts)} is not UTF-8.") from None
    if len(texts) != number or position != len(content):
        raise bad_body(f"Input '{name}': its binary data are not {number} texts, each after its length.")
    return texts


def round_numbers(numbers: Iterable[float], datatype: str) -> list[float]:
    """Return the numbers as a datatype holds them; infinity for what is too large for it."""
    return array(_TYPE_CODES[datatype], numbers).tolist()


def write_numbers(numbers: Iterable[float]) -> bytes:
    """Return numbers as a tensor of FP64."""
    content = array(_TYPE_CODES["FP64"], numbers)
    _little_endian(content)
    return content.tobytes()


def write_texts(texts: Iterable[str]) -> bytes:
    """Return texts as a tensor of BYTES."""
    return b"".join(_LENGTH.pack(len(text.encode())) + text.encode() for text in texts)


def _little_endian(numbers: "array[float]") -> None:
    if sys.byteorder == "big":
        numbers.byteswap()

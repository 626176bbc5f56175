"""ONNX models: run with ONNX Runtime from verified bytes, and nothing else.

An ONNX model is data: a graph of the runtime's own operators. But its tensors may lie in other files, which it names
and nobody signed. The runtime reads them from the working folder, even where it was handed the model itself as bytes.
"""

import os
from types import ModuleType
from typing import Any

from signed_parameters.errors import ConfigurationError, MalformedPackage

SUFFIX = ".onnx"

_TELEMETRY_OFF = "ORT_DISABLE_TELEMETRY"
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_LARGEST_TAG = (1 << 32) - 1
_DEEPEST = 100
_LONGEST_VARINT = 10

# The messages of an ONNX file by which one gets to tensors: field number -> kind of message there.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


def check_self_contained(data: bytes, what: str = "the ONNX model") -> None:
    """Check that a model has all its tensors in itself.

    Args:
        data: the whole model.
        what: its name, for messages.

    Raises:
        MalformedPackage: it names other files, or is no ONNX model.
    """
    if b"location" not in data:  # which is how a file is named: where it is not, there is nothing to look for
        return
    try:
        external = _names_a_file(memoryview(data), "model", 0)
    except (ValueError, IndexError) as error:
        raise MalformedPackage(f"{what} is no ONNX model", found=str(error)) from None
    if external:
        raise MalformedPackage(
            f"{what} keeps tensors in other files, which would be read unsigned",
            expected="a model in one file",
            remedy="Save it again with onnx.save(model, path, save_as_external_data=False).",
        )


def import_onnxruntime() -> ModuleType:
    """Import `onnxruntime`, without its telemetry, and return it.

    Its builds report to their maker, and leave files in the home and temporary folders, unless a variable says no
    before the first import.

    Raises:
        ConfigurationError: it is not installed.
    """
    os.environ.setdefault(_TELEMETRY_OFF, "1")
    try:
        import onnxruntime
    except ImportError:
        raise ConfigurationError(
            "ONNX models need onnxruntime", remedy="Install it: pip install onnxruntime."
        ) from None
    return onnxruntime  # type: ignore[no-any-return]


def open_session(data: bytes, what: str = "the ONNX model", *, threads: int = 1) -> Any:
    """Return an `onnxruntime.InferenceSession` on the processor.

    Args:
        data: the whole model, verified.
        what: its name, for messages.
        threads: how many compute one answer. One is best for a service that answers many requests at a time.

    Raises:
        MalformedPackage: it names other files, or is no model that can be run here.
        ConfigurationError: onnxruntime is not installed, or the number of threads is not usable.
    """
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise ConfigurationError("threads is not usable", expected="a whole number from 1", found=repr(threads))
    check_self_contained(data, what)
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is in the error
    # Otherwise the bytes could choose the runtime's other format, which the check above does not read.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise MalformedPackage(
            f"{what} cannot be run here",
            found=f"{type(error).__name__}: {error}"[:500],
            remedy="Check that it is an ONNX model, of an operator set that this onnxruntime has.",
        ) from None


def _names_a_file(message: memoryview, kind: str, depth: int) -> bool:
    """Tell whether a message, or one in it, keeps tensors elsewhere. It reads Protocol Buffers' wire format."""
    if depth > _DEEPEST:
        raise ValueError("it is nested too deeply")
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        field, wire, value = tag >> 3, tag & 7, 1
        if tag > _LARGEST_TAG:  # the runtime would drop what is above, and see another field
            raise ValueError("it has a field whose number is too large")
        if wire == _LENGTH:
            size, position = _varint(message, position)
            if size > end - position:
                raise ValueError("it ends early")
            content = message[position : position + size]
            position += size
            inner = _FIELDS[kind].get(field)
            if inner is not None and _names_a_file(content, inner, depth + 1):
                return True
        elif wire == _VARINT:
            value, position = _varint(message, position)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            position += 8 if wire == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"it has a field of the unknown kind {wire}")
        if kind == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)):
            return True
    return False


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(_LONGEST_VARINT):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, position
    raise ValueError("it has a number without end")

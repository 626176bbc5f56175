"""The kinds of model file: told by the end of the name, checked when signed, loaded when verified."""

from enum import StrEnum
from typing import BinaryIO

from signed_parameters.formats import onnx_files, pickles, skops_files


class Format(StrEnum):
    """A kind of model file."""

    PICKLE = "pickle"
    SKOPS = "skops"
    ONNX = "onnx"

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What names of such files end with."""
        return _SUFFIXES[self]

    @property
    def file_name(self) -> str:
        """Name of the model's file in a package that `sign_model` makes."""
        return f"model{self.suffixes[0]}"


_SUFFIXES = {
    Format.PICKLE: pickles.SUFFIXES,
    Format.SKOPS: (skops_files.SUFFIX,),
    Format.ONNX: (onnx_files.SUFFIX,),
}


MODEL_SUFFIXES = tuple(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)


def format_of(name: str) -> Format | None:
    """Return the kind of a file; None where it is no model."""
    return next((kind for kind, suffixes in _SUFFIXES.items() if name.endswith(suffixes)), None)


def check_model(name: str, file: BinaryIO) -> tuple[str, ...] | None:
    """Check a model file that is about to be signed, without running any of it.

    Args:
        name: the file's name, whose end tells the kind.
        file: its content; only of a pickle it is not read as a whole.

    Returns:
        The globals that loading it needs, as sorted `module:name`; None where a file of its kind names none.

    Raises:
        UnsafePickle: it names what is never allowed, or is no file of its kind.
        MalformedPackage: an ONNX model names other files.
        ConfigurationError: the library for its kind is not installed.
    """
    match format_of(name):
        case Format.PICKLE:
            return pickles.scan(file, name)
        case Format.SKOPS:
            return skops_files.scan(file.read(), name)
        case Format.ONNX:
            onnx_files.check_self_contained(file.read(), name)
    return None

"""skops files: the types that one would load are read before it is loaded, signed, and then enforced.

A skops file is a zip with a tree of nodes in JSON, each of which names a type, and with arrays in files of their own.
`scan` lists the types of all nodes, those that skops trusts by itself too, and what skops' own audit adds. Nothing is
imported by its name or made. `load` lets skops make objects of these types, and of no others.
"""

import importlib
import io
import json
import zipfile
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from signed_parameters.errors import ConfigurationError, UnsafePickle
from signed_parameters.formats.pickle_globals import check_allowed, find
from signed_parameters.formats.unpickling import require
from signed_parameters.limits import MEBIBYTE

SUFFIX = ".skops"

_SCHEMA = "schema.json"
_MAXIMUM_SCHEMA_BYTES = 64 * MEBIBYTE
_MAXIMUM_UNPACKED_BYTES = 64 * MEBIBYTE  # of the packed arrays, and on top of that:
_MAXIMUM_UNPACKED_RATIO = 16
_ATTRIBUTE_CALLS = frozenset({"MethodNode"})  # its attribute is no name in a module
_OPERATORS = frozenset({"itemgetter"})
_REMEDY = "Write it again with skops.io.dump, uncompressed, and find out who made this one."


def scan(data: bytes, what: str = "the skops file") -> tuple[str, ...]:
    """Return the types and functions that a skops file names, as sorted `module:name`; none is imported or made.

    Args:
        data: the whole file.
        what: its name, for messages.

    Raises:
        UnsafePickle: it is no skops file, would unpack to far more than it is, or names what is never allowed.
        ConfigurationError: skops is not installed.
    """
    untrusted = _import_skops().get_untrusted_types
    found = _read_names(data, what)
    try:
        # skops writes a type as module.name. The name has no dot, but for attributes of objects, which are refused.
        found |= {":".join(name.rpartition(".")[::2]) for name in untrusted(data=data)}
    except Exception as error:
        raise _unreadable(what, error) from None
    for name in found:
        check_allowed(name, what)
    return tuple(sorted(found))


def load(data: bytes, allowed: Collection[str], what: str = "the skops file") -> Any:
    """Load a skops file with nothing at hand but the allowed types and functions.

    Args:
        data: the whole file, verified.
        allowed: the signed list, as `module:name`.
        what: its name, for messages.

    Raises:
        UnsafePickle: it names what is not on the list, or could never be allowed; or it cannot be loaded here.
        ConfigurationError: skops is not installed.
    """
    skops = _import_skops()
    names = scan(data, what)
    for name in names:
        require(name, allowed, what)
    try:
        for name in names:
            module, _, attribute = name.partition(":")
            find(module, attribute, what)
        return skops.loads(data, trusted=[name.replace(":", ".") for name in names])
    except UnsafePickle:
        raise
    except Exception as error:
        raise UnsafePickle(
            f"{what} cannot be loaded here",
            found=f"{type(error).__name__}: {error}",
            remedy="Install the versions of the libraries that the statement's runtime names.",
        ) from error


def dump(model: object) -> bytes:
    """Return a model as a skops file.

    Raises:
        ConfigurationError: skops is not installed, or cannot write this.
    """
    skops = _import_skops()
    try:
        return bytes(skops.dumps(model))
    except Exception as error:
        raise ConfigurationError(
            f"skops cannot write a {type(model).__name__}",
            found=f"{type(error).__name__}: {error}",
            remedy='Sign it as a pickle: format="pickle".',
        ) from None


def _import_skops() -> Any:
    try:
        return importlib.import_module("skops.io")  # it imports scikit-learn
    except ImportError:
        raise ConfigurationError("skops files need skops", remedy="Install it: pip install skops.") from None


def _unreadable(what: str, error: Exception) -> UnsafePickle:
    return UnsafePickle(f"{what} is no skops file", found=f"{type(error).__name__}: {error}"[:500], remedy=_REMEDY)


def _read_names(data: bytes, what: str) -> set[str]:
    """Return what the nodes name, after a look at the sizes: skops reads every file that a node names at once."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sizes = _sizes(archive, what)
            if sizes.get(_SCHEMA, 0) > _MAXIMUM_SCHEMA_BYTES:
                raise UnsafePickle(f"{what} has a tree of {sizes[_SCHEMA]} bytes", remedy=_REMEDY)
            nodes = list(_nodes(json.loads(archive.read(_SCHEMA))))
            _check_reads(nodes, sizes, archive, what)
    except UnsafePickle:
        raise
    except Exception as error:
        raise _unreadable(what, error) from None
    return {_name(node, what) for node in nodes}


def _sizes(archive: zipfile.ZipFile, what: str) -> dict[str, int]:
    """Return the entries' sizes in bytes. Only uncompressed entries cannot be larger than they say."""
    infos = archive.infolist()
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise UnsafePickle(f"{what} has compressed files in it", found=info.filename, remedy=_REMEDY)
    sizes = {info.filename: info.file_size for info in infos}
    if len(sizes) != len(infos):
        raise UnsafePickle(f"{what} has two files of one name in it", remedy=_REMEDY)
    return sizes


def _nodes(tree: object) -> Iterator[Mapping[str, Any]]:
    """Yield the nodes of a tree, wherever they are in it."""
    rest = [tree]
    while rest:
        part = rest.pop()
        if isinstance(part, dict):
            if isinstance(part.get("__loader__"), str):
                yield part
            rest += part.values()
        elif isinstance(part, list):
            rest += part


def _check_reads(nodes: list[Mapping[str, Any]], sizes: Mapping[str, int], archive: zipfile.ZipFile, what: str) -> None:
    """Check that the nodes read no file over and over, and what their sparse matrices unpack to.

    A node whose number was seen before is not read again. A sparse matrix is a compressed archive itself.
    """
    reads = {(node.get("__id__") or (at,), node["file"]): node for at, node in enumerate(nodes) if "file" in node}
    size = sum(sizes.values())
    if sum(sizes[file] for _, file in reads) > size:
        raise UnsafePickle(f"{what} reads the same files over and over", remedy=_REMEDY)
    unpacked = 0
    for (_, file), node in reads.items():
        if node["__loader__"] == "SparseMatrixNode":
            with zipfile.ZipFile(io.BytesIO(archive.read(file))) as packed:
                unpacked += sum(info.file_size for info in packed.infolist())
    if unpacked > _MAXIMUM_UNPACKED_BYTES + _MAXIMUM_UNPACKED_RATIO * size:
        raise UnsafePickle(
            f"{what} would unpack to {unpacked} bytes",
            expected=f"at most {_MAXIMUM_UNPACKED_RATIO} times its size, and {_MAXIMUM_UNPACKED_BYTES} bytes",
            remedy="Sign the model as a pickle if it is meant, and find out who made it.",
        )


def _name(node: Mapping[str, Any], what: str) -> str:
    loader, module, name = node["__loader__"], node.get("__module__"), node.get("__class__")
    if loader in _ATTRIBUTE_CALLS or (loader == "OperatorFuncNode" and str(name) not in _OPERATORS):
        raise UnsafePickle(
            f"{what} holds {module}.{name} by a {loader}",
            expected="no bound methods, attribute getters or method callers",
            remedy="Give the model a function of a module instead.",
        )
    if not isinstance(module, str) or not isinstance(name, str) or "." in name:
        raise UnsafePickle(f"{what} asks for {module}.{name}"[:500], expected="a name directly in a module")
    return f"{module}:{name}"

"""Which globals a pickle, or a skops file, could ever be allowed, and what it may do with them.

The signed list is the guard: a file reaches exactly the names on it. The rules here bound what can get onto a list at
all, for a signer who does not read it. Of the standard library they know every harmless name, and refuse the rest. Of
other libraries they know the dangerous names of those that are common where models are trained.
"""

import importlib
import re
import sys
from types import ModuleType
from typing import Any

from signed_parameters.errors import UnsafePickle

# What models hold of the standard library: types of values, and functions of numbers. Not what calls other functions
# (`map`, `functools.reduce`), makes classes or code, or reaches files, the network, modules or attributes.
_STANDARD_NAMES = frozenset(
    f"{module}:{name}"
    for module, names in {
        "_codecs": "encode",
        "_operator": "abs add and_ eq floordiv ge gt index inv invert itemgetter le lt mod mul ne neg not_ or_ pos pow "
        "sub truediv truth xor",
        "array": "_array_reconstructor array",
        "builtins": "Ellipsis NotImplemented abs all any bool bytearray bytes complex dict divmod float frozenset int "
        "len list max min object pow range round set slice sorted str sum tuple type",
        "collections": "ChainMap Counter OrderedDict UserDict UserList UserString defaultdict deque",
        "copyreg": "__newobj__ __newobj_ex__ _reconstructor",
        "datetime": "date datetime time timedelta timezone",
        "decimal": "Context Decimal",
        "fractions": "Fraction",
        "functools": "partial",
        "ipaddress": "IPv4Address IPv4Network IPv6Address IPv6Network",
        "math": "acos acosh asin asinh atan atan2 atanh ceil cos cosh degrees erf erfc exp expm1 fabs floor fmod gamma "
        "hypot isfinite isinf isnan lgamma log log10 log1p log2 pow radians sin sinh sqrt tan tanh trunc",
        "operator": "abs add and_ eq floordiv ge gt index inv invert itemgetter le lt mod mul ne neg not_ or_ pos pow "
        "sub truediv truth xor",
        "random": "Random",
        "re": "_compile",
        "statistics": "fmean mean median stdev variance",
        "types": "SimpleNamespace",
        "uuid": "SafeUUID UUID",
    }.items()
    for name in names.split()
)
_FORBIDDEN_MODULES = frozenset(
    "IPython _pytest boto3 botocore cffi click cloudpickle dask dill distutils fabric fire fsspec httpx "
    "importlib_metadata ipykernel jinja2 joblib loky mako minio mlflow nbconvert numexpr numpy._core.memmap "
    "numpy.compat numpy.core.memmap numpy.ctypeslib numpy.distutils numpy.f2py numpy.lib._datasource "
    "numpy.lib._npyio_impl numpy.lib.format numpy.lib.npyio numpy.testing pandas.core.computation pandas.io "
    "pandas.testing paramiko pexpect pip pkg_resources psutil ptyprocess py pytest ray requests ruamel s3fs "
    "scipy.io setuptools sh signed_parameters sklearn.datasets sklearn.utils._testing skops smart_open sympy "
    "torch._dynamo torch._inductor torch.distributed torch.hub torch.jit torch.package torch.serialization "
    "torch.utils.cpp_extension tornado urllib3 virtualenv wheel yaml zmq".split()
)
_FORBIDDEN_NAMES = frozenset(
    "numpy._core.records:fromfile numpy.core.records:fromfile numpy:DataSource numpy:fromfile numpy:fromregex "
    "numpy:genfromtxt numpy:load numpy:loadtxt numpy:memmap numpy:save numpy:savetxt numpy:savez "
    "numpy:savez_compressed pandas:ExcelFile pandas:ExcelWriter pandas:HDFStore pandas:eval pandas:read_clipboard "
    "pandas:read_csv pandas:read_excel pandas:read_feather pandas:read_fwf pandas:read_gbq pandas:read_hdf "
    "pandas:read_html pandas:read_json pandas:read_orc pandas:read_parquet pandas:read_pickle pandas:read_sas "
    "pandas:read_spss pandas:read_sql pandas:read_sql_query pandas:read_sql_table pandas:read_stata pandas:read_table "
    "pandas:read_xml pandas:to_pickle torch.storage:_load_from_bytes torch:compile torch:load torch:save".split()
)
_PYTHON_2_MODULES = frozenset({"__builtin__", "copy_reg"})
_GLOBAL = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*")
_SHOWN_CHARACTERS = 200

# The functions by which libraries restore their objects begin with an underscore, but for these.
_RESTORING = frozenset({"encode", "newObj", "py_buffer", "scalar", "type_for_alias"})
_CAREFUL_LIBRARIES = frozenset(
    "catboost keras lightgbm matplotlib numpy pandas pyarrow scipy sklearn tensorflow torch xgboost".split()
)


def check_allowed(name: str, what: str) -> None:
    """Check that a global, as `module:name`, could be allowed at all.

    Raises:
        UnsafePickle: it is a dotted name, or one that runs commands or code.
    """
    module, _, attribute = name.partition(":")
    if not _GLOBAL.fullmatch(name):
        raise UnsafePickle(
            f"{what} asks for {name[:_SHOWN_CHARACTERS]!r}",
            expected="a name directly in a module, of ASCII letters, digits and underscores",
            remedy="Dotted names are never allowed.",
        )
    if module in _PYTHON_2_MODULES:
        raise UnsafePickle(
            f"{what} asks for {name}, a name of Python 2", remedy="Dump the model again with protocol 4 or later."
        )
    if module == "__main__":
        raise UnsafePickle(
            f"{what} asks for {name}, which the script or notebook that made it defined",
            expected="classes and functions of modules that a service can import",
            remedy="Move it into a module, import it from there, and dump the model again.",
        )
    if is_forbidden(module, attribute):
        raise UnsafePickle(
            f"{what} asks for {name}",
            expected="nothing that runs commands or code",
            remedy="Models need no such thing: find out who made the file, or keep it out of what is pickled.",
        )


def is_forbidden(module: str, attribute: str) -> bool:
    """Tell whether a global is one that is never allowed."""
    if f"{module}:{attribute}" in _FORBIDDEN_NAMES:
        return True
    parts = module.split(".")
    if parts[0] in sys.stdlib_module_names or module == "__main__":
        return f"{module}:{attribute}" not in _STANDARD_NAMES
    return any(".".join(parts[:length]) in _FORBIDDEN_MODULES for length in range(1, len(parts) + 1))


def find(module: str, attribute: str, what: str) -> Any:
    """Import a global, which must be on a signed list and pass `check_allowed`, and return it.

    Raises:
        UnsafePickle: it is a module, or a forbidden thing under a harmless name.
        ImportError, AttributeError: there is no such thing here.
    """
    name = f"{module}:{attribute}"
    sys.audit("pickle.find_class", module, attribute)  # for hooks that watch the interpreter's own unpickler
    found = getattr(importlib.import_module(module), attribute)
    origin = str(getattr(found, "__module__", "")), str(getattr(found, "__name__", ""))
    if isinstance(found, ModuleType) or (name not in _STANDARD_NAMES and is_forbidden(*origin)):
        raise UnsafePickle(
            f"{what} asks for {name}, which is {':'.join(origin).strip(':')} under another name",
            expected="nothing that runs commands or code",
            remedy="Models need no such thing: find out who made the file, or keep it out of what is pickled.",
        )
    return found


def may_be_called(name: str, found: object) -> bool:
    """Tell whether a pickle may call a global: a class, or a function that is there to restore objects.

    Functions of other libraries than the standard and the common ones may be called too: nobody knows their customs.
    """
    module, _, attribute = name.partition(":")
    library = module.partition(".")[0]
    if isinstance(found, type) or attribute.startswith("_") or attribute in _RESTORING:
        return True
    return library not in sys.stdlib_module_names and library not in _CAREFUL_LIBRARIES

"""Names the versions of Python and of the libraries that the trained model depends on."""

import platform
from importlib.metadata import version

_LIBRARIES = (
    "imbalanced-learn",
    "lightgbm",
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "pycaret",
    "scikit-learn",
    "skl2onnx",
    "sweetviz",
)


def library_versions() -> dict[str, str]:
    """Return the version of Python and of each library, sorted by name."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}

"""ONNX Runtime, without its telemetry."""

import os
from types import ModuleType

_TELEMETRY_OFF = "ORT_DISABLE_TELEMETRY"


def import_onnxruntime() -> ModuleType:
    """Import `onnxruntime` and return it.

    Its builds report to their maker, and leave files in the home and temporary folders, unless a variable says no
    before the first import. A service that handles answers of patients reports to nobody.
    """
    os.environ.setdefault(_TELEMETRY_OFF, "1")
    import onnxruntime

    return onnxruntime  # type: ignore[no-any-return]

import os
import subprocess
import sys

import pytest

ASK = "from signed_parameters.formats.onnx_files import import_onnxruntime; import_onnxruntime()"
PLAIN = "import onnxruntime"


@pytest.mark.parametrize(("code", "silent"), [(ASK, True), (PLAIN, False)])
def test_onnx_runtime_leaves_no_traces_of_telemetry(tmp_path, code, silent):
    """The plain import is tried too: when it leaves nothing either, this precaution can go."""
    # Nothing else of the environment: where it says that this is CI, the plain import is silent by itself.
    environment = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    assert (list(tmp_path.rglob("*")) == []) is silent


def test_the_owner_of_the_process_may_decide_otherwise(monkeypatch):
    from signed_parameters.formats.onnx_files import import_onnxruntime

    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    import_onnxruntime()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"

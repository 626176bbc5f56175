import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from diabetes_risk_model.training.quiet import drawing, quiet

with quiet():
    import matplotlib as mpl
    from matplotlib import pyplot as plt

IMPORT = """
import os, warnings
before = warnings.showwarning
from diabetes_risk_model.training.quiet import import_pycaret
module = import_pycaret()
assert warnings.showwarning is before
assert "PYCARET_CUSTOM_LOGGING_PATH" not in os.environ
print(module.ClassificationExperiment.__name__)
"""


def test_warnings_are_silent_inside_and_as_before_outside():
    with quiet():
        warnings.warn("inside", stacklevel=1)
    with pytest.raises(UserWarning, match="outside"):
        warnings.warn("outside", stacklevel=1)


def test_drawing_closes_its_figures_and_restores_settings():
    mpl.use("svg")
    size = mpl.rcParams["font.size"]
    with drawing():
        assert mpl.get_backend().lower() == "agg"
        mpl.rcParams["font.size"] = 99
        plt.figure()
    assert plt.get_fignums() == []
    assert mpl.rcParams["font.size"] == size
    assert mpl.get_backend().lower() == "svg"


def test_drawing_leaves_open_figures_alone():
    mine = plt.figure()
    with drawing():
        plt.figure()
    assert plt.get_fignums() == [mine.number]
    plt.close(mine)


def fail_while_drawing() -> None:
    with drawing():
        plt.figure()
        raise ValueError("wrong")


def test_drawing_restores_after_an_error():
    mpl.use("svg")
    with pytest.raises(ValueError, match="wrong"):
        fail_while_drawing()
    assert plt.get_fignums() == []
    assert mpl.get_backend().lower() == "svg"


@pytest.mark.training
def test_pycaret_is_imported_without_a_log_file_or_a_warning(here: Path):
    environment = {name: value for name, value in os.environ.items() if name != "PYCARET_CUSTOM_LOGGING_PATH"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT], cwd=here, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "ClassificationExperiment\n"), done.stderr
    assert list(here.iterdir()) == []

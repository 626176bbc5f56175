import json
import sys
from array import array

import pytest

from benchmarks import engines
from benchmarks.engines import Measured, main, measure_apart, print_table
from diabetes_risk_model.packaging import package_parameters
from diabetes_risk_model.prediction.engines import INPUT_COLUMNS
from diabetes_risk_model.prediction.table import Axis, Table
from signed_parameters import SigningKey


def test_an_engine_is_measured_in_a_process_of_its_own(tmp_path):
    axes = tuple(Axis(column, (), 1.0) for column in INPUT_COLUMNS)
    (tmp_path / "model.table").write_bytes(Table(axes, array("d", [0.75])).to_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps({"columns": INPUT_COLUMNS}))
    key = SigningKey.generate()
    files = {name: tmp_path / name for name in ("model.table", "manifest.json")}
    package_parameters(files, tmp_path / "packages", key=key, parameters_version="1", serial=1)
    measured = measure_apart(
        {
            "model_parameters_version": "1",
            "model_files_bucket": (tmp_path / "packages").as_uri(),
            "parameters_verification_keys": [str(key.verification_key)],
            "engine": "table",
        }
    )
    assert min(vars(measured).values()) > 0


def test_every_engine_has_a_line(capsys):
    print_table({name: Measured(0.5, 50.0, 0.25, 600_000.0, 500_000.0) for name in engines.ENGINES})
    printed = capsys.readouterr().out
    assert all(name in printed for name in engines.ENGINES)
    assert "600,000" in printed


def test_a_folder_without_a_model_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["engines", str(tmp_path)])
    assert main() == 2
    assert "does not hold a trained model" in capsys.readouterr().err


def test_without_a_folder_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["engines"])
    with pytest.raises(SystemExit):
        main()

"""The command: what it prints, and its exit status."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from diabetes_risk_model.cli import main
from tests.diabetes_risk_model.drift.conftest import older_rows, same_rows

Run = Callable[..., Result]


@pytest.fixture
def run(profiled: Any, write_configuration: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("scores.parquet", "report.html", ..., code=0)` runs the command."""
    monkeypatch.setenv("REST_CONFIG", str(write_configuration(profiled.settings())))

    def invoke(*arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["drift", *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert result.exit_code == code, result.output
        return result

    return invoke


def test_drift_ends_with_4_only_where_that_was_asked_for(run: Run, scored: Any, tmp_path: Path) -> None:
    source, scores = scored(older_rows(1_000))
    command = (scores, tmp_path / "r.html", "--input", source, "--overwrite")
    assert "Age: drift" in run(*command).stdout
    run(*command, "--fail-on-drift", code=4)
    run(*command, "--fail-on-drift", "--drift", 90, "--moved", 90)
    source, scores = scored(same_rows(1_000), "same")
    run(scores, tmp_path / "r.html", "--input", source, "--overwrite", "--fail-on-drift")


def test_json_alone_is_on_the_standard_output(run: Run, scored: Any, tmp_path: Path) -> None:
    source, scores = scored(older_rows(1_000))
    done = run(scores, tmp_path / "r.html", "--input", source, "--json")
    content = json.loads(done.stdout)
    assert (content["status"], content["scored_rows"], content["training_rows"]) == ("drift", 1_000, 2_000)
    assert [each["name"] for each in content["columns"]][-2:] == ["risk", "probability"]
    assert "Verify the package" in done.stderr


def test_a_tampered_package_ends_with_1_and_writes_no_report(run: Run, profiled: Any, tmp_path: Path) -> None:
    content = profiled.package.read_bytes()
    profiled.package.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "DigestMismatch" in run(tmp_path / "s.parquet", tmp_path / "r.html", code=1).stderr
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["missing.parquet", "r.html"], 3, "NotFound"),
        (["rows.csv", "r.html"], 2, "file of another kind"),
        (["*.xlsx", "r.html"], 2, "there is nothing to score"),
        (["s.parquet", "r.html", "--drift", "0.1", "--moved", "0.2"], 2, "--drift is below --moved"),
        (["s.parquet", "r.html", "--missing", "2"], 2, "Invalid value"),
        (["s.parquet", "r.html", "--moved", "nan"], 2, "--drift is below --moved, or no number"),
        (["s.parquet", "r.html", "--rejected", "nan"], 2, "numbers from 0 to 1"),
        (["s.parquet", "r.html", "--config", "missing.yaml"], 2, "missing.yaml"),
    ],
)
def test_what_makes_no_sense_is_said(
    arguments: list[str], code: int, says: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("a\n1\n")
    assert says in " ".join(run(*arguments, code=code).stderr.split())


def test_what_is_not_installed_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diabetes_risk_model.drift.command.find_spec", lambda name: None)
    assert "signed-parameters[batch]" in run("s.parquet", "r.html", code=2).stderr


def test_the_command_line_starts_without_the_libraries_of_the_check() -> None:
    code = "import sys, diabetes_risk_model.cli; print({'matplotlib', 'scipy', 'pyarrow', 'jinja2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

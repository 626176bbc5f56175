"""The command `diabetes-risk-model`: its arguments, how it fails, and once the whole demonstration."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

import signed_parameters as sp
from diabetes_risk_model import __version__
from diabetes_risk_model.cli import main
from diabetes_risk_model.data.columns import COLUMNS

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("diabetes-risk-model")
PICKLE = b"\x80\x04\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R."
EMBEDDED = ("--source", "embedded")
LONG = "x" * 5000

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("data", ...)` runs a command in an empty folder, and expects no traceback whatever happens."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIABETES_DATA", raising=False)

    def invoke(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert result.exit_code == code, result.output
        return result

    return invoke


@pytest.fixture
def trained(run: Run) -> Run:
    """As `run`, where there are a signing key and a folder `artefacts` such as training writes."""
    Path("artefacts/plots").mkdir(parents=True)
    Path("artefacts/manifest.json").write_text('{"parameters_version": "2026_11_21"}')
    Path("artefacts/model.pkl").write_bytes(PICKLE)
    Path("artefacts/plots/auc.png").write_bytes(b"an image")
    sp.SigningKey.generate().save("key.json")
    return run


def test_every_command_explains_itself(run: Run) -> None:
    names = ["compose-env", "data", "demo", "drift", "package", "profile", "promote", "score", "train", "users"]
    assert sorted(main.commands) == names
    for name in main.commands:
        assert "Usage: " in run(name, "--help").stdout


def test_the_installed_command_runs(tmp_path: Path) -> None:
    for arguments, code, says in [
        (["--version"], 0, __version__),
        (["data", "--source", "missing.csv"], 2, "SurveyFileError: missing.csv does not exist"),
        (["package", "--key", "k", "--serial", "1"], 2, "ConfigurationError: build/artefacts does not hold"),
        (["package"], 2, "Missing option"),
    ]:
        done = subprocess.run([COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == code
        assert says in (done.stderr if code else done.stdout)
        assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


def test_data_says_where_it_came_from_and_writes_it(run: Run) -> None:
    shown = run("data", *EMBEDDED, "--rows", "50", "--seed", "3", "--out", "new/[b]rows[/b].csv").stdout
    assert "the embedded survey (as asked for): 50 synthetic rows drawn with seed 3" in " ".join(shown.split())
    manifest = json.loads(shown[shown.index("{") : shown.rindex("}") + 1])
    assert (manifest["source"], manifest["rows"], manifest["seed"]) == ("embedded", 50, 3)
    assert "wrote new/[b]rows[/b].csv" in shown
    lines = Path("new/[b]rows[/b].csv").read_text().splitlines()
    assert lines[0].split(",") == [column.name for column in COLUMNS]
    assert len(lines) == 51


def test_the_same_seed_gives_the_same_rows(run: Run) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        run("data", *EMBEDDED, "--rows", "20", "--seed", seed, "--out", name)
    assert Path("a").read_bytes() == Path("b").read_bytes() != Path("c").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--source", "missing.csv"], "SurveyFileError: missing.csv does not exist"),
        (["--source", "folder"], "SurveyFileError: folder is a folder"),
        (["--source", "text"], "Error: "),
        (["--source", "binary"], "Error: "),
        (["--source", "empty"], "Error: "),
        (["--source", ""], "DataError: The source is empty"),
        (["--source", LONG], "Error: "),
        ([*EMBEDDED, "--seed", "-1"], "DataError: Cannot use seed -1"),
    ],
)
@pytest.mark.parametrize("command", ["data", "profile", "train"])
def test_a_survey_that_cannot_be_used(run: Run, command: str, options: list[str], message: str) -> None:
    Path("folder").mkdir()
    Path("empty").touch()
    Path("text").write_text("no,survey\n1,2\n")
    Path("binary").write_bytes(bytes(range(256)))
    assert message in run(command, *options, "--out", "out", code=2).stderr
    assert not Path("out").is_file()


def test_a_variable_that_names_no_file_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIABETES_DATA", "missing.csv")
    for command in ("data", "profile", "train"):
        assert "environment variable DIABETES_DATA" in run(command, code=2).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "--rows", "1"],
        ["data", "--rows", "99999999999"],
        ["data", "--rows", "many"],
        ["data", "--seed", "x"],
        ["data", "--out", "folder"],
        ["profile", "--out", "folder"],
        ["train", "--profile", "huge"],
        ["train", "--out", "file"],
        ["package", "artefacts", "--key", "key.json"],
        ["package", "artefacts", "--serial", "1"],
        ["package", "artefacts", "--key", "key.json", "--serial", "-1"],
        ["package", "artefacts", "--key", "key.json", "--serial", "1", "--expires-days", "0"],
        ["package", "artefacts", "--key", "key.json", "--serial", "1", "--expires-days", "99999999999"],
        ["package", "file", "--key", "key.json", "--serial", "1"],
        ["demo", "--folder", "file"],
        ["unknown"],
    ],
)
def test_a_usage_error(trained: Run, arguments: list[str]) -> None:
    Path("folder").mkdir()
    Path("file").touch()
    assert "Error: " in trained(*arguments, code=2).stderr


@pytest.mark.parametrize("command", ["data", "profile", "train"])
@pytest.mark.parametrize("out", ["file/below", "/proc/nowhere/out", LONG])
def test_a_place_that_cannot_be_written(run: Run, command: str, out: str) -> None:
    Path("file").touch()
    rows = ("--rows", "20") if command == "data" else ()
    assert "Error: " in run(command, *EMBEDDED, *rows, "--out", out, code=2).stderr


@pytest.mark.parametrize("version", ["", "../../x", "two words", "a\nb"])
def test_a_parameters_version_is_checked_before_training(run: Run, version: str) -> None:
    result = run("train", *EMBEDDED, "--parameters-version", version, code=2)
    assert "the parameters version is not usable" in result.stderr
    assert os.listdir() == []


def test_package_builds_and_signs(trained: Run) -> None:
    shown = trained("package", "artefacts", "--key", "key.json", "--serial", "4", "--expires-days", "30").stdout
    package = Path(f"build/packages/diabetes_risk_model-{__version__}-2026_11_21.zip")
    assert shown == f"built and signed {package}\n"
    policy = sp.TrustPolicy("diabetes_risk_model", [sp.SigningKey.load("key.json").verification_key], minimum_serial=4)
    with sp.verify_package(package, policy) as verified:
        assert verified.names == ("manifest.json", "model.pkl", "plots/auc.png")
        assert verified.statement.expires is not None
        assert (verified.statement.expires - verified.statement.created).days == 30


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing", "--key=key.json"], 2, "does not hold a trained model"),
        (["empty", "--key=key.json"], 2, "does not hold a trained model"),
        (["artefacts", "--key=missing.json"], 2, "cannot be read"),
        (["artefacts", "--key=artefacts"], 2, "Is a directory"),
        (["artefacts", "--key=artefacts/model.pkl"], 2, "signing key"),
        (["artefacts", "--key=env:NO_SUCH_KEY"], 2, "Set NO_SUCH_KEY"),
        (["artefacts", "--key=key.json", "--out=key.json/below"], 2, "cannot be made"),
        (["evil", "--key=key.json"], 1, "UnsafePickle: model.pkl asks for os:system"),
        (["link", "--key=key.json"], 2, "the parameters version is not usable"),
    ],
)
def test_package_refuses(trained: Run, arguments: list[str], code: int, message: str) -> None:
    Path("empty").mkdir()
    for name, manifest in (("evil", "1"), ("link", "../../x")):
        Path(name).mkdir()
        Path(name, "manifest.json").write_text(json.dumps({"parameters_version": manifest}))
        Path(name, "model.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    result = trained("package", *arguments, "--serial=1", code=code)
    assert message in result.stderr
    assert list(Path().rglob("*.dsse.json")) == []


def test_the_demonstration_empties_no_folder_of_somebody_else(run: Run) -> None:
    Path("configuration").mkdir()
    shutil.copy(ROOT / "configuration" / "rest_config.yaml", "configuration")
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    for folder in ("mine", "."):
        assert "is not empty" in run("demo", *EMBEDDED, "--folder", folder, code=2).stderr
    assert Path("mine/thesis.txt").read_text() == "years of work"


def test_the_demonstration_needs_its_configuration_before_it_trains(run: Run) -> None:
    assert "there is no configuration/rest_config.yaml here" in run("demo", *EMBEDDED, code=2).stderr
    assert os.listdir() == []


def _ours(folder: Path) -> list[psutil.Process]:
    """Processes that work in a folder, or have it on their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join([process.cwd(), *process.cmdline()]):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.training
def test_the_demonstration_tells_its_story_and_leaves_nothing(tmp_path: Path) -> None:
    work, temporary, home = (tmp_path / name for name in ("work", "temporary", "home"))
    for folder in (work, temporary, home):
        folder.mkdir()
    shutil.copytree(ROOT / "configuration", work / "configuration")
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "KAGGLE_", "DIABETES_", "MPL", "ORT_"))
    }
    environment |= {"TMPDIR": str(temporary), "HOME": str(home)}
    done = subprocess.run(
        [COMMAND, "demo", "--folder", "build/demo"],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=3_000,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    story = [
        "1. Train",
        "the embedded survey",
        "Reduce it to plain scikit-learn",
        "2. Package, sign, store",
        "key id",
        "3. Serve",
        "ready in",
        "DIABETES",
        "HTTP 400",
        "4. Attack",
        "code of the attacker ran",
        "it refuses the package",
        "DigestMismatch:",
        "it refuses the package",
        "UnknownKey:",
        "goes on answering",
        "The attacker owned the bucket",
    ]
    at = 0
    for text in story:
        assert text in done.stdout[at:], f"{text!r} does not follow in:\n{done.stdout}"
        at = done.stdout.index(text, at) + len(text)
    assert "Traceback" not in done.stdout + done.stderr
    assert _ours(tmp_path) == []
    assert sorted(path.name for path in work.iterdir()) == ["build", "configuration"]
    assert [path.name for path in (work / "build").iterdir()] == ["demo"]
    assert sorted(temporary.rglob("*")) == []
    assert sorted(home.rglob("*")) == []
    (package,) = (work / "build" / "demo" / "packages").glob("*.zip")
    assert package.with_name(package.name + ".dsse.json").is_file()

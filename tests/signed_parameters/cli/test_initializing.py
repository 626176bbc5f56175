"""`initialize`, as KServe and Seldon Core call it: SRC DST, and the rest by the environment."""

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def ready(signed: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """As `signed`, with a policy file that the environment names."""
    key = Path("verification_key.txt").read_text().strip()
    Path("policy.yaml").write_text(f"name: m\nkeys: ['{key}']\n")
    monkeypatch.setenv("SIGNED_PARAMETERS_POLICY", "policy.yaml")
    monkeypatch.delenv("SIGNED_PARAMETERS_WRITE", raising=False)
    monkeypatch.delenv("SIGNED_PARAMETERS_POLICY_TEXT", raising=False)
    return signed


def _files(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def test_a_folder_is_filled(ready: Run) -> None:
    result = ready("initialize", "p.zip", "models")
    assert result.stdout == "verified p.zip, serial 7, and wrote model.pkl, plots/auc.png into models\n"
    assert _files("models") == ["model.pkl", "plots/auc.png"]


def test_the_model_gets_the_name_that_the_server_wants(ready: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ready("initialize", "p.zip", "a", "--write", "model.pkl=model.joblib")
    assert _files("a") == ["model.joblib"]
    monkeypatch.setenv("SIGNED_PARAMETERS_WRITE", "model.pkl=model.joblib plots/auc.png")
    ready("initialize", "p.zip", "b")
    assert _files("b") == ["model.joblib", "plots/auc.png"]


def test_through_s3_by_the_prefix_of_a_storage_container(ready: Run, bucket: str) -> None:
    ready("push", "p.zip", f"s3://{bucket}/line")
    ready("initialize", f"signed-s3://{bucket}/line/p.zip", "models")
    assert _files("models") == ["model.pkl", "plots/auc.png"]


def test_an_address_of_the_web_does_not_look_like_one_of_kserves_own_container(ready: Run) -> None:
    result = ready("initialize", "signed-web://127.0.0.1:1/p.zip", "models", code=3)
    assert "verifying https://127.0.0.1:1/p.zip\n" in result.stderr
    assert not Path("models").exists()


def test_the_policy_itself_may_stand_in_the_environment(ready: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path("policy.yaml").read_text()
    monkeypatch.delenv("SIGNED_PARAMETERS_POLICY")
    monkeypatch.setenv("SIGNED_PARAMETERS_POLICY_TEXT", f"{text}minimum_serial: 8\n")
    assert "RolledBack" in ready("initialize", "p.zip", "models", code=1).stderr
    monkeypatch.setenv("SIGNED_PARAMETERS_POLICY_TEXT", f"{text}nmae: m\n")
    refused = ready("initialize", "p.zip", "models", code=2).stderr
    assert "the trust policy in SIGNED_PARAMETERS_POLICY_TEXT has the unknown key nmae" in refused
    assert not Path("models").exists()
    monkeypatch.setenv("SIGNED_PARAMETERS_POLICY_TEXT", text)
    ready("initialize", "p.zip", "models")


def test_of_two_policies_none_counts(ready: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNED_PARAMETERS_POLICY_TEXT", Path("policy.yaml").read_text())
    assert "Found both" in ready("initialize", "p.zip", "models", code=2).stderr
    assert not Path("models").exists()


def test_a_refusal_says_why_in_the_log_in_the_pod_and_by_the_exit_status(
    ready: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("termination-log").touch()
    monkeypatch.setenv("SIGNED_PARAMETERS_TERMINATION_LOG", "termination-log")
    data = Path("p.zip").read_bytes()
    Path("p.zip").write_bytes(data.replace(b"an image", b"an imAge"))
    result = ready("initialize", "p.zip", "models", code=1)
    assert "DigestMismatch: p.zip is not what was signed" in result.stderr
    assert Path("termination-log").read_text().startswith("DigestMismatch: p.zip is not what was signed")
    assert not Path("models").exists()


def test_without_a_termination_log_none_is_made(ready: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNED_PARAMETERS_TERMINATION_LOG", "termination-log")
    ready("initialize", "none.zip", "models", code=3)
    assert not Path("termination-log").exists()


def test_the_reason_fits_the_pod_s_status(ready: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Path("termination-log")
    log.touch()
    monkeypatch.setenv("SIGNED_PARAMETERS_TERMINATION_LOG", str(log))
    ready("initialize", "p.zip", "models", "--write", f"{'é' * 3000}=a", code=2)
    assert log.stat().st_size == 4096
    assert "éééé" in log.read_bytes().decode(errors="ignore")


def test_more_files_than_may_be_open_at_first(ready: Run) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for number in range(300):
        Path(f"files/plots/{number}.png").touch()
    ready("build", "many.zip", "files")
    ready("sign", "many.zip", *ready.SIGNING, "--serial", "8")
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        ready("initialize", "many.zip", "models")
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (256, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(_files("models")) == 302


def test_several_folders_are_filled_all_or_none(ready: Run) -> None:
    ready("build", "q.zip", "files")
    ready("sign", "q.zip", *ready.SIGNING, "--serial", "8")
    ready("initialize", "p.zip", "a", "q.zip", "b")
    assert _files("a") == _files("b") == ["model.pkl", "plots/auc.png"]
    Path("q.zip").write_bytes(b"other")
    ready("initialize", "p.zip", "c", "q.zip", "d", code=1)
    assert not Path("c").exists()
    assert not Path("d").exists()


def test_each_may_have_a_policy_of_its_own(ready: Run) -> None:
    text = Path("policy.yaml").read_text()
    Path("strict.yaml").write_text(f"{text}minimum_serial: 8\n")
    arguments = ("initialize", "p.zip", "a", "p.zip", "b", "--policy", "policy.yaml")
    assert "RolledBack" in ready(*arguments, "--policy", "strict.yaml", code=1).stderr
    assert not Path("a").exists()
    ready(*arguments, "--policy", "policy.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("p.zip",), "Expected a DST for every SRC"),
        (("p.zip", "a", "p.zip", "./a"), "Expected another DST for every SRC"),
        (("p.zip", "a", "p.zip", "a/b"), "none of them in another"),
        (("p.zip", "a/b/c", "p.zip", "a"), "none of them in another"),
        (("p.zip", ""), "the name of the folder to write to is empty"),
        (("https://h.invalid/p.zip?sig=SECRET", "a"), "without a password or a query"),
        (("https://name:SECRET@h.invalid/p.zip", "a"), "without a password or a query"),
        (("p.zip", "a", "--policy", "policy.yaml", "--policy", "policy.yaml"), "one --policy for all"),
        (("p.zip", "a", "--write", "=x"), "--write is not usable"),
        (("p.zip", "a", "--policy", "none.yaml"), "none.yaml"),
    ],
)
def test_what_is_asked_wrongly_is_explained(
    ready: Run, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("termination-log").touch()
    monkeypatch.setenv("SIGNED_PARAMETERS_TERMINATION_LOG", "termination-log")
    said = ready("initialize", *arguments, code=2).stderr
    assert message in said
    assert message in Path("termination-log").read_text()
    assert "SECRET" not in said + Path("termination-log").read_text()


def test_without_a_policy_nothing_is_trusted(ready: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGNED_PARAMETERS_POLICY")
    assert "Say what to trust" in ready("initialize", "p.zip", "models", code=2).stderr
    assert not Path("models").exists()

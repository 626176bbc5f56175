"""What the README tells people to type works as it stands there, in an empty folder, on a real S3 server."""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp

ROOT = Path(__file__).parents[1]
SECTION = (ROOT / "README.md").read_text().partition("## Use it with your own model")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)


def _blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


@pytest.fixture
def environment(s3_server: Any, s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An empty folder with a pickled model, the policy of the README, and a bucket."""
    monkeypatch.chdir(tmp_path)
    (policy,) = _blocks("yaml")
    Path("trust_policy.yaml").write_text(policy)
    Path("model.pkl").write_bytes(pickle.dumps({"weight": 1.5}))
    variables = {
        "AWS_ENDPOINT_URL": s3_server.url,
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return {"bucket": s3_bucket}


def _run(script: str, bucket: str) -> str:
    script = script.replace("s3://models", f"s3://{bucket}")
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_work_one_after_the_other(environment: dict[str, str]) -> None:
    bucket = environment["bucket"]
    first, years = _blocks("")
    assert "verified s3://" in _run(first, bucket)
    old = sp.SigningKey.load("signing_key.json").key_id
    _run("signed-parameters keygen --out approver.json --verification-key approver.txt --keyring keyring.json", bucket)
    _run(years.replace("KEY_ID", old), bucket)
    new = sp.SigningKey.load("new_key.json")
    with sp.verify_package(f"s3://{bucket}/churn@latest", sp.TrustPolicy.load("trust_policy.yaml")) as package:
        assert old not in package.key_ids
        assert new.key_id in package.key_ids
        assert sp.SigningKey.load("approver.json").key_id in package.key_ids


def test_the_two_lines_of_python_work(environment: dict[str, str]) -> None:
    bucket = environment["bucket"]
    _run("signed-parameters keygen --keyring keyring.json", bucket)
    names: dict[str, Any] = {"model": {"weight": 1.5}}
    for block in _blocks("python"):
        exec(block.replace("s3://models", f"s3://{bucket}"), names)
    assert names["model"] == {"weight": 1.5}
    assert names["uri"] == f"s3://{bucket}/churn-1.0.0-3.zip"

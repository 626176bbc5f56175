"""What docs/authentication.md says, done as it says."""

import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from diabetes_risk_model.service.authentication.settings import AuthenticationSettings
from diabetes_risk_model.service.process import ServiceProcess

PAGE = (Path(__file__).parents[4] / "docs" / "authentication.md").read_text()
COMMANDS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
SETTINGS = [yaml.safe_load(text)["authentication"] for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


def test_the_settings_are_all_of_them_with_their_defaults():
    short, long = SETTINGS
    assert set(long) == set(AuthenticationSettings.model_fields)
    assert AuthenticationSettings.model_validate(short) == AuthenticationSettings.model_validate(long)


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("openssl"), reason="curl or openssl is missing")
def test_the_commands_lead_to_a_prediction(tmp_path, bucket, write_configuration):
    add, make_secret, predict = COMMANDS
    password = secrets.token_urlsafe(12)
    folder = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PASSWORD": password}

    def shell(script, given=""):
        done = subprocess.run(
            ["bash", "-ec", script], input=given, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    shell(add, password)
    secret = shell(f'{make_secret}printf %s "$TOKEN_SECRET"')
    configuration = write_configuration(bucket.settings())
    document = yaml.safe_load(configuration.read_text())
    document["authentication"] = {**SETTINGS[0], "users_file": str(tmp_path / SETTINGS[0]["users_file"])}
    configuration.write_text(yaml.safe_dump(document))
    with ServiceProcess("diabetes_risk_model.service.main:app", configuration, {"TOKEN_SECRET": secret}) as service:
        environment["SERVICE"] = service.url
        assert "probability" in shell(predict)

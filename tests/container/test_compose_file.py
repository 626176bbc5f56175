"""compose.yaml: by the specification, locked up, and in agreement with the code."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from diabetes_risk_model.compose_environment import compose_environment

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]
_VARIABLE = re.compile(r"\$\{([A-Z_0-9]+)(:?[?-])?")


def test_it_is_what_the_specification_allows() -> None:
    compose_spec = pytest.importorskip("compose_spec")
    filled = re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", TEXT)
    filled = re.sub(r"\$\{[A-Z_]+:\?[^}]*\}", "/filled-in", filled)
    # The specification allows a tag beside a digest, and YAML's merge keys. This reader does not know them.
    filled = yaml.safe_dump(yaml.safe_load(re.sub(r"@sha256:[0-9a-f]{64}", "", filled)))
    parsed = compose_spec.PyCompose.from_yaml(filled)
    assert sorted(parsed.service_names()) == sorted(SERVICES)
    with pytest.raises(ValueError, match="mem_limits"):
        compose_spec.PyCompose.from_yaml(filled.replace("mem_limit:", "mem_limits:"))


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_is_locked_up(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp:size=64m,mode=1777"]
    assert "privileged" not in service
    assert {"mem_limit", "cpus", "pids_limit"} <= set(service)
    if name == "minio-data":  # changes an owner, then ends: no network, nothing else that root may do
        assert (service["user"], service["cap_add"], service["network_mode"]) == ("0:0", ["CHOWN"], "none")
    else:
        assert service["user"] == "10001:10001"
        assert "cap_add" not in service
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    for volume in service.get("volumes", []):
        assert volume.endswith(":ro") or volume == "minio-data:/data"


def test_images_are_pinned() -> None:
    images = {service["image"] for service in SERVICES.values()}
    defaults = {re.sub(r"^\$\{[A-Z_]+:-(.*)\}$", r"\1", image) for image in images}
    assert not [image for image in defaults if image.endswith(":latest") or ":" not in image]
    (minio,) = (image for image in defaults if "minio" in image)
    assert re.search(r"@sha256:[0-9a-f]{64}$", minio)


def test_it_holds_no_secret() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if "KEY" in name or "PASSWORD" in name:
                assert value.startswith("${"), name


def test_every_variable_is_written_by_the_command_or_has_a_default(signed: Any) -> None:
    package, key = signed
    written = compose_environment(package, [key.verification_key])
    for name, default in _VARIABLE.findall(TEXT):
        assert name in written or default == ":-", name
    assert set(written) - {"COMPOSE_PROFILES"} <= {name for name, _ in _VARIABLE.findall(TEXT)}


def test_the_service_gets_what_its_configuration_asks_for_and_no_more() -> None:
    configuration = (ROOT / "configuration" / "docker_rest_config.yaml").read_text()
    asked = set(re.findall(r"\$\{([A-Z_]+)\}", configuration.partition("service_title")[2]))
    assert set(SERVICES["service"]["environment"]) == asked
    assert not [name for name in SERVICES["service"]["environment"] if "ROOT" in name or "PUBLISHER" in name]


def test_only_minio_and_its_preparation_know_the_owner() -> None:
    knowing = {name for name, service in SERVICES.items() if "MINIO_ROOT" in yaml.safe_dump(service)}
    assert knowing == {"minio", "prepare"}


def test_what_is_mounted_exists() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (ROOT / volume.split(":")[0]).is_file(), volume


def test_podman_compose_reads_it(tmp_path: Path) -> None:
    if subprocess.run([sys.executable, "-c", "import podman_compose"], capture_output=True).returncode:
        pytest.skip("podman-compose is not installed")
    command = [sys.executable, "-m", "podman_compose", "--env-file", "/dev/null", "--file", str(ROOT / "compose.yaml")]
    done = subprocess.run([*command, "config"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0
    assert "run diabetes-risk-model compose-env first" in done.stderr

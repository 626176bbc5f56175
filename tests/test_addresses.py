"""The page of addresses: each of its examples leads somewhere, and it names every variable that storages read."""

import os
import re
from pathlib import Path

import pytest

from signed_parameters.storage import locate

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/addresses.md").read_text()
NAME = "churn-1.0.0-3.zip"
_EXAMPLES = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
_ADDRESSES = re.findall(rf"^\| `(\S+/{re.escape(NAME)})`", PAGE, re.MULTILINE)
_FAMILIES = ("AWS_", "S3_", "USE_SSL", "GOOGLE_", "STORAGE_E", "AZURE_", "AZ_", "PVC_", "CA_BUNDLE_", "RCLONE_")
_VARIABLE = re.compile(r"\b(?:[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]|awsAnonymousCredential)\b")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(_FAMILIES)]:
        monkeypatch.delenv(name)


def _variables(text: str) -> set[str]:
    return {name for name in _VARIABLE.findall(text) if name.startswith((*_FAMILIES, "HTTP", "NO_PROXY", "aws"))}


@pytest.mark.parametrize("example", _EXAMPLES, ids=lambda example: example.split()[-3])
def test_each_example_leads_somewhere(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    *exports, command = example.splitlines()
    for line in exports:
        name, _, value = line.removeprefix("export ").partition("=")
        monkeypatch.setenv(name, value)
    words = command.split()
    assert words[:2] + words[3:] == ["signed-parameters", "verify", "--policy", "trust_policy.yaml"]
    storage, found = locate(words[2])
    assert storage.address(found).endswith(f"/line/{NAME}")


@pytest.mark.parametrize("address", _ADDRESSES)
def test_each_address_of_the_table_leads_somewhere(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCLONE_CONFIG_STORE_TYPE", "s3")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    storage, found = locate(address)
    assert storage.address(found).endswith(NAME)


def test_every_kind_of_address_is_on_the_page() -> None:
    kinds = (ROOT / "signed_parameters/storage/choose.py").read_text().split('"""')[1]
    schemes = set(re.findall(r"([a-z0-9]+)://", kinds))
    assert schemes == set(re.findall(r"([a-z0-9]+)://", " ".join(_ADDRESSES)))
    assert len(_ADDRESSES) == 9
    assert len(_EXAMPLES) == 5


def test_every_variable_is_on_the_page_and_the_page_has_no_others() -> None:
    code = "".join(path.read_text() for path in sorted((ROOT / "signed_parameters/storage").glob("*.py")))
    read = {name for name in _variables(code) if not name.startswith("RCLONE_")} - {"AZ_CLIENT_", "AZURE_CLIENT_"}
    told = {name for name in _variables(PAGE) if not name.startswith("RCLONE_")}
    assert read == told


def test_every_option_of_remotes_is_on_the_page() -> None:
    code = (ROOT / "signed_parameters/storage/remotes.py").read_text()
    options = set(re.findall(r"""_(?:option|is_on)\(name, ["']([A-Z_]+)["']\)""", code)) - {"TYPE"}
    table = PAGE.partition("| type | options |")[2].partition("\n\n")[0]
    assert options == set(re.findall(r"`([A-Z_]+)`", table))

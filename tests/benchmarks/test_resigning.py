import sys
from pathlib import Path

import pytest

import signed_parameters as sp
from benchmarks import resigning


def test_a_few_packages_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(resigning, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["resigning", "--packages", "3", "--size", "100"])
    assert resigning.main() == 0
    printed = capsys.readouterr().out
    assert "3 packages get a new key's signature" in printed
    assert "local S3 server" in printed
    assert list((tmp_path / "build" / "benchmarks").iterdir()) == []


@pytest.mark.parametrize("place", ["folder", "S3"])
def test_a_package_that_is_read_is_noted(
    tmp_path: Path, place: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = sp.SigningKey.generate(), sp.SigningKey.generate()
    resigning.build_packages(tmp_path / "packages", 2, 100, old)
    storage: resigning.NotingFileStorage | resigning.NotingS3Storage
    if place == "S3":
        bucket = request.getfixturevalue("s3_bucket")
        storage = resigning.NotingS3Storage(bucket, request.getfixturevalue("s3_server").settings)
        for path in (tmp_path / "packages").iterdir():
            storage.write(path.name, path)
    else:
        storage = resigning.NotingFileStorage(tmp_path / "packages")
    honest = sp.resign

    def reads_one(*arguments: object, **options: object) -> object:
        with storage.stream("benchmark-1-00001.zip") as download:
            list(download.chunks)
        return honest(*arguments, **options)

    monkeypatch.setattr(sp, "resign", reads_one)
    measured = resigning.measure(place, storage, old, new, tmp_path)
    assert (measured.packages, measured.packages_read) == (2, 1)
    assert resigning.missed_targets([measured]) == [f"{place}: 1 packages were read; expected none."]

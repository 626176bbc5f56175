"""The report: it stands alone, says what was found, and escapes what strangers wrote."""

import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from diabetes_risk_model.drift.check import Result
from diabetes_risk_model.drift.pictures import bin_labels, picture
from diabetes_risk_model.drift.report import to_html
from diabetes_risk_model.drift.training_profile import NAMES, TrainingProfile, distribution
from tests.browser import find_chromium, launched
from tests.diabetes_risk_model.drift.conftest import older_rows

_PICTURE = re.compile(r'src="data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)"')


@pytest.fixture
def result(check: Callable[..., Result], scored: Any) -> Result:
    source, scores = scored(older_rows(2_000))
    return check(scores, source)


def test_it_needs_nothing_else(result: Result) -> None:
    page = to_html(result)
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "default-src 'none'" in page
    pictures = [b64decode(found) for found in _PICTURE.findall(page)]
    assert len(pictures) == len(NAMES)
    for content in pictures:
        assert ElementTree.fromstring(content).tag.endswith("svg")


def test_it_says_the_same_as_the_result(result: Result) -> None:
    page = " ".join(to_html(result).split())
    assert f"{result.scored:,} rows of a batch beside the {result.training_rows:,}" in page
    for each in result.columns:
        assert f"{each.index:.3f}" in page
    assert result.package["package_digest"] in page
    assert f"<title>Drift check: {result.status}</title>" in page


def test_addresses_of_strangers_are_escaped(result: Result) -> None:
    page = to_html(replace(result, scores=("s3://b/<script>alert(1)</script>",), source='"><img src=x>'))
    assert "<script" not in page
    assert "<img src=x" not in page


def test_without_the_input_it_says_so(result: Result) -> None:
    page = to_html(replace(result, columns=result.columns[-2:], source=""))
    assert "input was not given" in page
    assert "input was not given" not in to_html(result)


def test_the_same_distributions_give_the_same_picture(profile: TrainingProfile) -> None:
    assert picture(profile["BMI"], profile["BMI"]) == picture(profile["BMI"], profile["BMI"])


def test_bins_are_named_by_what_they_mean(profile: TrainingProfile) -> None:
    assert bin_labels(profile["GeneralHealth"]) == ["excellent", "very good", "good", "fair", "poor"]
    assert bin_labels(profile["risk"]) == ["NO_DIABETES", "DIABETES"]
    assert (len(bin_labels(profile["Age"])), bin_labels(profile["Age"])[-1]) == (13, "80 or older")
    assert bin_labels(distribution("BMI", [20.5, 25.5], [1, 1, 1])) == ["below 20.5", "20.5 to 25.5", "25.5 or more"]
    assert bin_labels(distribution("BMI", [], [1])) == ["all"]
    assert bin_labels(distribution("Age", [3.5], [1, 1])) == ["below 3.5", "3.5 or more"]


def test_a_browser_shows_every_picture_without_a_complaint(result: Result) -> None:
    program = find_chromium()
    if program is None:
        pytest.skip("there is no chromium here")
    with launched(program) as browser, browser.new_page() as page:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
        page.goto(Path(result.report).as_uri())
        widths = page.evaluate("[...document.images].map(image => image.complete ? image.naturalWidth : 0)")
        assert len(widths) == len(NAMES)
        assert min(widths) > 300
        assert said == []

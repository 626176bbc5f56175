import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from diabetes_risk_model.training.card import CardFacts, code, spread_sentence, table, to_html, to_markdown
from diabetes_risk_model.training.evaluate import PLOTS
from diabetes_risk_model.training.train import SELECTED

SCORES = {"Accuracy": 0.73, "AUC": 0.81, "Recall": 0.78, "Prec.": 0.71, "F1": 0.7456}
METRICS = {
    "rows": {"survey": 20000, "train": 13300, "held_out": 6000},
    "folds": 3,
    "compared": [{"id": "ridge", "model": "Ridge Classifier", **SCORES, "AUC": 0.0}],
    "created": {"mean": SCORES, "std": dict.fromkeys(SCORES, 0.004)},
    "tuned": {"mean": SCORES, "std": dict.fromkeys(SCORES, 0.005)},
    "tuning": {"metric": "F1", "difference": 0.001, "spread": 0.005, "inside_spread": True, "kept": True},
    "held_out": SCORES,
    "reduction": {"rows": 423012, "different_labels": 0, "largest_difference": 0.0},
    "export": {"rows": 423012, "different_labels": 0, "largest_difference": 1.8e-7},
    "table": {"cells": 32928, "rows": 518940, "different_labels": 0, "largest_difference": 0.0},
}


class Outside(HTMLParser):
    """Collects what a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href") and not value.startswith("data:")]


@pytest.fixture
def facts(tmp_path):
    plots = {}
    for name in PLOTS:
        plots[name] = tmp_path / f"{name}.png"
        plots[name].write_bytes(b"\x89PNG " + name.encode())
    survey = {"source": "file", "description": "file a|b`<script>.csv: 70,692 rows", "rows": 70692}
    return CardFacts("0.1.0", "2026_11_21", "quick", 42, survey, SELECTED, METRICS, plots)


def test_markdown_tells_source_columns_scores_limits_and_proof(facts):
    card = to_markdown(facts)
    for text in (
        "Source: **file**",
        "**GeneralHealth**",
        "1 = 18-24",
        "0.7456\u00a0±\u00a00.0040",
        "Not medical advice",
        "not a prevalence",
        "self-reported",
        "United States in 2015",
        "423,012 rows",
        "1.8e-07",
        "each of 32,928 cells",
        "518,940 rows",
    ):
        assert text in card
    assert "synthetic" not in card


def test_the_embedded_survey_is_called_synthetic(facts):
    facts.survey["source"] = "embedded"
    assert "**synthetic**" in to_markdown(facts)


def test_a_score_that_a_candidate_lacks_is_not_shown_as_zero(facts):
    (line,) = [line for line in to_markdown(facts).splitlines() if "Ridge" in line]
    assert "none" in line
    assert "0.0000" not in line


def test_a_model_without_a_table_says_so(facts):
    card = to_markdown(replace(facts, metrics={**METRICS, "table": None}))
    assert "There is no `model.table`" in card
    assert "cells" not in card


def test_html_stands_alone_and_holds_every_plot(facts):
    page = to_html(to_markdown(facts), facts.plots)
    parser = Outside()
    parser.feed(page)
    assert parser.fetched == []
    assert page.count("data:image/png;base64,") == len(PLOTS)
    assert "script" not in parser.tags
    assert not re.search(r"url\(|@import", page)


def test_nothing_in_a_description_becomes_markup(facts):
    page = to_html(to_markdown(facts), facts.plots)
    assert "&lt;script&gt;" in page
    assert code("a`b\nc") == "`a'b c`"
    assert table(["x"], [["a|b"]]).splitlines()[-1] == "| a\\|b |"


@pytest.mark.parametrize(
    ("difference", "inside", "kept", "expected"),
    [
        (0.001, True, True, ("+0.0010", "inside that spread", "the tuned ones")),
        (0.008, False, True, ("+0.0080", "larger than that spread: the tuned set is better", "the tuned ones")),
        (-0.001, True, False, ("-0.0010", "inside that spread", "the default ones")),
        (-0.008, False, False, ("-0.0080", "larger than that spread: the tuned set is worse", "the default ones")),
    ],
)
def test_the_sentence_on_tuning_follows_the_numbers(difference, inside, kept, expected):
    sentence = spread_sentence({**METRICS["tuning"], "difference": difference, "inside_spread": inside, "kept": kept})
    assert all(part in sentence for part in expected)

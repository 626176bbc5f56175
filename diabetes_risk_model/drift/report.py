"""The report: one HTML file that needs nothing else, no script and no network."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from diabetes_risk_model.drift.comparison import Compared, Status
from diabetes_risk_model.drift.pictures import bin_labels, picture, shares
from diabetes_risk_model.drift.training_profile import PROBABILITY, RISK

if TYPE_CHECKING:
    from diabetes_risk_model.drift.check import Result

_TEMPLATE = Path(__file__).with_name("report.html")
_TITLES = {RISK: "Predicted class", PROBABILITY: "Predicted probability"}
_SUMMARIES = {
    Status.STABLE: "No drift was found.",
    Status.MOVED: "Something has moved, but less than counts as drift.",
    Status.DRIFT: "The batch has drifted away from the training rows.",
}


def to_html(result: Result) -> str:
    """Return the report on a check. Every text in it is escaped: addresses and names are of strangers."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        result=result,
        summary=_SUMMARIES[result.status],
        thresholds=asdict(result.thresholds),
        columns=[_column(each) for each in result.columns],
    )


def _column(compared: Compared) -> dict[str, object]:
    training, batch = compared.training, compared.batch
    bins = zip(bin_labels(training), shares(training.counts), shares(batch.counts), batch.counts, strict=True)
    return {
        "title": _TITLES.get(training.name, training.name),
        "compared": compared,
        "picture": b64encode(picture(training, batch)).decode(),
        "bins": list(bins),
    }

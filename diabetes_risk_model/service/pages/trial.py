"""/try: a page where a person answers the model's four questions, and sees what it says."""

from typing import Any

from fastapi import FastAPI

from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput
from diabetes_risk_model.service.pages.assets import STATIC, Asset
from diabetes_risk_model.service.pages.headers import page_headers
from diabetes_risk_model.service.pages.site import add_page

_FILES = ("try.css", "answers.js", "service.js", "result.js", "try.js", "icon.svg")


def can_be_tried(model_class: Any) -> bool:
    """Return whether the page's questions are those of a model."""
    return getattr(model_class, "input_schema", None) is DiabetesRiskModelInput


def add_trial(application: FastAPI, model_class: Any) -> None:
    """Add the page for a model that can be tried. It asks the service's own paths, and nobody else."""
    assets = {name: Asset(STATIC / name) for name in _FILES}
    add_page(
        application, "/try", assets, _headers, model=model_class.qualified_name, display_name=model_class.display_name
    )


def _headers(_: str) -> dict[str, str]:
    return page_headers("script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'")

"""Chapter 2 shows a report in a frame while its kernel runs. Here the frame shows the same report, drawn again."""

import re
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx
from sphinx.util import logging

_FRAME = re.compile(r'src="[^"/]+/profile\.html"')
_FILE = "profile.html"
_CHAPTER = "notebooks/02_the_data"
_SURVEY_ROWS = 20_000  # as the chapter loads, and
_REPORT_ROWS = 5_000  # as it describes
_SEED = 42

logger = logging.getLogger(__name__)


def _point_frame(app: Sphinx, document: nodes.document) -> None:
    if app.env.docname != _CHAPTER:
        return
    for raw in document.findall(nodes.raw):
        raw.children = [nodes.Text(_FRAME.sub(f'src="{_FILE}"', raw.astext()))]


def _draw_report(app: Sphinx, error: Exception | None) -> None:
    report = app.outdir / Path(_CHAPTER).with_name(_FILE)
    if error or _CHAPTER not in app.env.found_docs or _up_to_date(report):
        return
    logger.info("drawing the report of chapter 2")
    from diabetes_risk_model.data.sources import load_survey
    from diabetes_risk_model.training.profile import profile_survey

    survey = load_survey("embedded", rows=_SURVEY_ROWS, seed=_SEED)
    profile_survey(survey, report, rows=_REPORT_ROWS, seed=_SEED)


def _up_to_date(report: Path) -> bool:
    names = ("diabetes_risk_model.training.profile", "diabetes_risk_model.data.embedded")
    modules = [Path(found.origin) for name in names if (found := find_spec(name)) and found.origin]
    return report.exists() and all(report.stat().st_mtime > module.stat().st_mtime for module in modules)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register both steps."""
    app.connect("doctree-read", _point_frame)
    app.connect("build-finished", _draw_report)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

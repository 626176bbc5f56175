"""Pictures of distributions: the shares of training and of the batch, bin by bin, as SVG by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise

from diabetes_risk_model.data.columns import FEATURES
from diabetes_risk_model.drift.training_profile import RISK, Distribution
from diabetes_risk_model.prediction.schemas import DiabetesRisk
from diabetes_risk_model.training.quiet import quiet

_SIZE = (7.0, 2.6)  # inches, of 72 points
_WIDTH = 0.4
_COLOURS = ("#8a94a6", "#0b6bcb")
_MOST_UPRIGHT = 6
# The same distributions give the same picture, wherever it is drawn.
_SETTINGS = {"svg.hashsalt": "diabetes_risk_model", "svg.fonttype": "none", "font.family": ["sans-serif"]}


def picture(training: Distribution, batch: Distribution) -> bytes:
    """Draw two distributions of the same bins side by side. Return the SVG."""
    with quiet():
        return _drawn(training, batch)


def _drawn(training: Distribution, batch: Distribution) -> bytes:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    labels = bin_labels(training)
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=_SIZE, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for number, (name, each) in enumerate((("training", training), ("batch", batch))):
            places = [place + (number - 0.5) * _WIDTH for place in range(len(labels))]
            axes.bar(places, shares(each.counts), _WIDTH, label=name, color=_COLOURS[number])
        upright = len(labels) <= _MOST_UPRIGHT
        axes.set_xticks(
            range(len(labels)), labels, rotation=0 if upright else 35, ha="center" if upright else "right", fontsize=8
        )
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.tick_params(axis="y", labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
        content = io.BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()


def shares(counts: Sequence[int]) -> list[float]:
    """Return the share of each count in their sum; zeros where that is 0."""
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def bin_labels(distribution: Distribution) -> list[str]:
    """Return what each bin holds, in words: the meaning of codes, the ends of ranges."""
    if distribution.name == RISK:
        return [DiabetesRisk.NO_DIABETES.value, DiabetesRisk.DIABETES.value]
    cuts = distribution.cuts
    coded = {column.name: column.labels for column in FEATURES if column.labels}.get(distribution.name, {})
    if len(coded) == len(distribution.counts) and all(
        distribution.bin(code) == place for place, code in enumerate(coded)
    ):
        return list(coded.values())
    if not cuts:
        return ["all"]
    between = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(cuts)]
    return [f"below {cuts[0]:.4g}", *between, f"{cuts[-1]:.4g} or more"]

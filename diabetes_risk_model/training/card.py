"""Writes the model card: what the model is for, what it was made from, how good it is, and where its limits are."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from diabetes_risk_model.data.columns import TARGET, Column
from diabetes_risk_model.training.evaluate import PLOTS

_METRICS = {"Accuracy": "Accuracy", "AUC": "AUC", "Recall": "Recall", "Prec.": "Precision", "F1": "F1"}
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #5b6b7b; --line: #dde4ea; --page: #fff; --band: #f5f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4eaf0; --soft: #9fb0c0; --line: #33404d; --page: #141a20; --band: #1c242c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 60rem; background: var(--page); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
h1 + p { color: var(--soft); }
blockquote { margin: 1.25rem 0; padding: .75rem 1rem; border-left: 4px solid #c2410c; background: var(--band); }
blockquote p { margin: 0; }
table { display: block; overflow-x: auto; border-collapse: collapse; margin: 1rem 0; font-size: .92rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { background: var(--band); white-space: nowrap; }
code { background: var(--band); padding: .1em .3em; border-radius: 3px; font-size: .9em; overflow-wrap: anywhere; }
img { display: block; width: 100%; height: auto; margin: .75rem 0 1.75rem; border: 1px solid var(--line);
  border-radius: 6px; background: #fff; }
"""


@dataclass(frozen=True)
class CardFacts:
    """What a model card tells.

    Attributes:
        version: of the model's code.
        parameters_version: of the trained parameters.
        profile: name of the training profile.
        seed: of every random choice.
        survey: the survey's manifest.
        columns: the model's inputs, in order.
        metrics: from `metrics.gather`.
        plots: name, as in `PLOTS` -> PNG file.
    """

    version: str
    parameters_version: str
    profile: str
    seed: int
    survey: Mapping[str, Any]
    columns: tuple[Column, ...]
    metrics: Mapping[str, Any]
    plots: Mapping[str, Path]


def to_markdown(facts: CardFacts) -> str:
    """Write the card as Markdown. Its plots are links to `plots/NAME.png` beside it."""
    parts = [
        "# Model card: diabetes risk",
        f"Version {code(facts.version)}, parameters {code(facts.parameters_version)}, "
        f"training profile {code(facts.profile)}, seed {facts.seed}.",
        "> **Not medical advice.** A demonstration for teaching. It diagnoses nobody and must not guide treatment.",
        "## What it predicts",
        "Whether an adult would report diabetes or prediabetes, from four answers of a telephone survey: "
        "a label and a probability. It is meant for learning how a model travels safely from training to serving.",
        _inputs(facts.columns),
        "A missing answer is replaced by the mean of the training rows.",
        "## Data",
        _data(facts),
        "## Scores",
        _scores(facts.metrics),
        "## Limits",
        _limits(facts),
        "## How the files were made",
        _making(facts.metrics),
        "## Plots",
        "On held-out rows, except feature importance and the learning curve, which describe training. In the class "
        "prediction error, each bar is a predicted class and its colours are the true ones; the label of the axis, "
        "which yellowbrick writes, says otherwise.",
        *(f"### {PLOTS[name][1]}\n\n![{PLOTS[name][1]}](plots/{path.name})" for name, path in facts.plots.items()),
    ]
    return "\n\n".join(parts) + "\n"


def to_html(markdown: str, plots: Mapping[str, Path]) -> str:
    """Turn the card into one HTML file: plots inside, nothing fetched, no script.

    Args:
        markdown: from `to_markdown`.
        plots: name -> PNG file; embedded where the Markdown links to it.
    """
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    for path in plots.values():
        content = base64.b64encode(path.read_bytes()).decode("ascii")
        body = body.replace(f'src="plots/{escape(path.name)}"', f'src="data:image/png;base64,{content}"')
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">\n'
        f"<title>Model card: diabetes risk</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def code(text: object) -> str:
    """Write text as Markdown code, so that nothing in it is read as markup."""
    plain = " ".join(str(text).replace("`", "'").split())
    return f"`{plain}`"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Write a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _inputs(columns: tuple[Column, ...]) -> str:
    rows = []
    for column in columns:
        values = f"{column.minimum} to {column.maximum}"
        if column.labels:
            values = ", ".join(f"{value} = {label}" for value, label in column.labels.items())
        rows.append([f"**{column.name}**", column.description, values])
    return table(["Input", "Meaning", "Values"], rows)


def _data(facts: CardFacts) -> str:
    rows = facts.metrics["rows"]
    text = [
        f"Source: **{facts.survey['source']}** ({code(facts.survey['description'])}).",
        f"Of its {facts.survey['rows']:,} rows, {rows['survey']:,} were used: {rows['train']:,} to train, after the "
        f"removal of outliers, and {rows['held_out']:,} held out. The final model is then fitted to all of them.",
    ]
    if facts.survey["source"] == "embedded":
        text.append(
            "The embedded survey is **synthetic**: its rows are drawn from aggregates of the real survey, and no row "
            "is a respondent's answer."
        )
    return "\n\n".join(text)


def _scores(metrics: Mapping[str, Any]) -> str:
    header = ["Gradient boosting", *_METRICS.values()]
    rows = [
        [f"{title}, {metrics['folds']} folds"]
        + [f"{metrics[key]['mean'][name]:.4f}\u00a0±\u00a0{metrics[key]['std'][name]:.4f}" for name in _METRICS]
        for title, key in (("as created", "created"), ("tuned", "tuned"))
    ]
    rows.append(["held-out rows", *(f"{metrics['held_out'][metric]:.4f}" for metric in _METRICS)])
    others = [
        [row["model"], *(f"{row[metric]:.4f}" if row[metric] else "none" for metric in _METRICS)]
        for row in metrics["compared"]
    ]
    return "\n\n".join(
        [
            table(header, rows),
            "± is the standard deviation over the folds. " + spread_sentence(metrics["tuning"]),
            "All candidates, means over the folds:",
            table(["Candidate", *_METRICS.values()], others),
        ]
    )


def spread_sentence(tuning: Mapping[str, Any]) -> str:
    """Say whether tuning made a difference that the folds can tell from chance."""
    size = (
        f"Tuning changed {tuning['metric']} by {tuning['difference']:+.4f}; "
        f"the fold-to-fold standard deviation is {tuning['spread']:.4f}."
    )
    if tuning["inside_spread"]:
        size += " The difference lies inside that spread, so it shows neither a better nor a worse model."
    else:
        verdict = "better" if tuning["difference"] > 0 else "worse"
        size += f" The difference is larger than that spread: the tuned set is {verdict}."
    used = "the tuned ones" if tuning["kept"] else "the default ones, because no tuned set had a higher mean"
    return f"{size} The hyperparameters in use are {used}."


def _limits(facts: CardFacts) -> str:
    return "\n".join(
        [
            "- The sample is balanced: half of its rows have diabetes, far more than in the population. "
            "The probability is therefore **not a prevalence** and not a person's risk; it ranks.",
            "- All answers are self-reported, over the telephone, by adults in the United States in 2015.",
            "- Four answers leave out most of what matters, such as family history and laboratory values.",
            "- People who are not in the survey, such as children and people in institutions, are not covered. "
            "Fairness across groups was not studied.",
            f"- The target means: {TARGET.description} It does not tell the types of diabetes apart.",
        ]
    )


def _making(metrics: Mapping[str, Any]) -> str:
    reduction, export, table = metrics["reduction"], metrics["export"], metrics["table"]
    lines = [
        "- `model.pkl` is the trained pipeline, reduced to three scikit-learn steps without refitting. On "
        f"{reduction['rows']:,} rows (the survey, the survey with each answer missing, and every whole-number "
        f"input) {reduction['different_labels']} labels differ from the trained pipeline's; the largest difference "
        f"between probabilities is {reduction['largest_difference']:.2g}.",
        f"- `model.onnx` is the same model in ONNX. On the same rows {export['different_labels']} labels differ; "
        f"the largest difference between probabilities is {export['largest_difference']:.1e}.",
    ]
    if table is None:
        lines.append("- There is no `model.table`: this model has too many different answers to list them all.")
    else:
        lines.append(
            f"- `model.table` lists all answers that the model can give: one for each of {table['cells']:,} cells, "
            f"between the values at which its trees decide. On {table['rows']:,} rows (those above, and both ends of "
            f"every cell) {table['different_labels']} labels differ from those of `model.pkl`; the largest difference "
            f"between probabilities is {table['largest_difference']:.2g}."
        )
    return "\n".join(lines)

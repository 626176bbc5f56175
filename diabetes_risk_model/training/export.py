"""Exports the reduced pipeline to ONNX, and checks that it answers alike.

The ONNX model has one input, `features`: float64, shape (rows, 4), the columns in the order of the metadata entry
`columns`, NaN where a value is missing. It has two outputs: `label` (int64, shape (rows,), 0 or 1) and `probabilities`
(float32, shape (rows, 2), of class 0 and of class 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from diabetes_risk_model.data.columns import Column
from diabetes_risk_model.training import agreement
from diabetes_risk_model.training.agreement import Agreement, Answers, Floats
from diabetes_risk_model.training.errors import ExportError
from diabetes_risk_model.training.quiet import quiet
from diabetes_risk_model.training.reduce import Reduced, answers
from signed_parameters.formats.onnx_files import open_session

INPUT, LABEL, PROBABILITIES = "features", "label", "probabilities"
TOLERANCE = 1e-6
_OPSETS = {"": 17, "ai.onnx.ml": 3}
_IR_VERSION = 8
_SCALED = "scaled"
_STEPS = ("SimpleImputer", "StandardScaler", "GradientBoostingClassifier")


@dataclass(frozen=True)
class Exported:
    """An ONNX model, and the proof that it answers like the reduced pipeline.

    Attributes:
        content: the model file.
        agreement: with the reduced pipeline.
    """

    content: bytes
    agreement: Agreement


def export(reduced: Reduced, frame: Any) -> Exported:
    """Export a reduced pipeline, and check the result on every row and every whole-number input.

    Args:
        reduced: from `reduce_pipeline`.
        frame: the survey's rows, all of them; a data frame with readable column names.

    Raises:
        ExportError: if any label differs, or any probability by more than 1e-6.
    """
    content = export_onnx(reduced.pipeline, reduced.columns)
    rows = np.concatenate([agreement.survey_rows(frame, reduced.columns), agreement.every_input(reduced.columns)])
    return Exported(content, check(content, reduced.pipeline, rows))


def check(content: bytes, pipeline: Any, rows: Floats) -> Agreement:
    """Compare an ONNX model with the pipeline that it was made from.

    Args:
        content: the ONNX model.
        pipeline: the scikit-learn pipeline.
        rows: shape (rows, 4), NaN where a value is missing.

    Raises:
        ExportError: if any label differs, or any probability by more than 1e-6.
    """
    found = agreement.measure(answers(pipeline, rows), onnx_answers(content, rows))
    if not found.within(TOLERANCE):
        raise ExportError(
            f"The ONNX model answers differently: {found.different_labels:,} of {found.rows:,} labels differ, and "
            f"probabilities by up to {found.largest_difference:.3g}; expected none, and at most {TOLERANCE:g}. "
            "Has the version of skl2onnx or of onnxruntime changed? Train with the versions of the lock file."
        )
    return found


def export_onnx(pipeline: Any, columns: tuple[Column, ...]) -> bytes:
    """Write a reduced pipeline as ONNX. The same pipeline gives the same bytes.

    The model fills and scales in double precision and then rounds to single, as scikit-learn does. In single
    precision throughout, a filled value can fall on the other side of a tree's threshold.

    Args:
        pipeline: fitted; imputer, scaler and classifier, as in `Reduced`.
        columns: in the order of the pipeline's input.

    Raises:
        ExportError: if the pipeline has other steps.
    """
    steps = tuple(type(step).__name__ for step in pipeline.named_steps.values())
    if steps != _STEPS:
        raise ExportError(f"The pipeline has the steps {', '.join(steps)}; expected {', '.join(_STEPS)}.")
    imputer, scaler, classifier = pipeline.named_steps.values()
    with quiet():
        from onnx.compose import merge_models

        model = merge_models(
            _preprocessing(imputer, scaler, columns), _classifier(classifier, len(columns)), [(_SCALED, _SCALED)]
        )
    model.producer_name = "diabetes_risk_model"
    entry = model.metadata_props.add()
    entry.key, entry.value = "columns", ",".join(column.name for column in columns)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _preprocessing(imputer: Any, scaler: Any, columns: tuple[Column, ...]) -> Any:
    """Build the ONNX model of imputer and scaler: `features` -> `scaled`."""
    from onnx import TensorProto, helper, numpy_helper

    numbers = {"fill": imputer.statistics_, "center": scaler.mean_, "scale": scaler.scale_}
    nodes = [
        helper.make_node("IsNaN", [INPUT], ["missing"]),
        helper.make_node("Where", ["missing", "fill", INPUT], ["filled"]),
        helper.make_node("Sub", ["filled", "center"], ["centered"]),
        helper.make_node("Div", ["centered", "scale"], ["divided"]),
        helper.make_node("Cast", ["divided"], [_SCALED], to=TensorProto.FLOAT),
    ]
    features = helper.make_tensor_value_info(
        INPUT,
        TensorProto.DOUBLE,
        ["rows", len(columns)],
        doc_string="; ".join(f"{column.name}: {column.description}" for column in columns),
    )
    scaled = helper.make_tensor_value_info(_SCALED, TensorProto.FLOAT, ["rows", len(columns)])
    constants = [numpy_helper.from_array(values.astype(np.float64), name) for name, values in numbers.items()]
    graph = helper.make_graph(nodes, "preprocessing", [features], [scaled], constants)
    return helper.make_model(graph, opset_imports=_opsets(), ir_version=_IR_VERSION)


def _classifier(classifier: Any, width: int) -> Any:
    """Convert the classifier: `scaled` -> `label`, `probabilities`."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    model = convert_sklearn(
        classifier,
        name="classifier",
        initial_types=[(_SCALED, FloatTensorType([None, width]))],
        final_types=[(LABEL, None), (PROBABILITIES, None)],
        target_opset=_OPSETS,
        options={"zipmap": False},
    )
    # skl2onnx states the lowest sets of operators that the classifier needs; both parts have to state the same.
    del model.opset_import[:]
    model.opset_import.extend(_opsets())
    model.ir_version = _IR_VERSION
    return model


def _opsets() -> list[Any]:
    from onnx import helper

    return [helper.make_opsetid(domain, number) for domain, number in _OPSETS.items()]


def onnx_answers(content: bytes, rows: Floats) -> Answers:
    """Ask an ONNX model for labels and probabilities.

    Args:
        content: the ONNX model.
        rows: shape (rows, 4), NaN where a value is missing.
    """
    session = open_session(content)
    labels, probabilities = session.run([LABEL, PROBABILITIES], {INPUT: rows})
    return Answers(np.asarray(labels), np.asarray(probabilities, dtype=np.float64))

import numpy as np
import onnx
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from diabetes_risk_model.training import agreement
from diabetes_risk_model.training.errors import ExportError
from diabetes_risk_model.training.export import TOLERANCE, check, export, export_onnx, onnx_answers
from diabetes_risk_model.training.reduce import SELECTED, answers, reduce_pipeline


@pytest.fixture
def reduced(trained, frame):
    return reduce_pipeline(trained, frame)


def test_labels_are_equal_and_probabilities_close_for_every_input(reduced, frame):
    exported = export(reduced, frame)
    assert exported.agreement.different_labels == 0
    assert exported.agreement.largest_difference <= TOLERANCE
    assert exported.agreement.rows == reduced.agreement.rows


def test_inputs_and_outputs_are_as_documented(reduced):
    model = onnx.load_from_string(export_onnx(reduced.pipeline, SELECTED))
    onnx.checker.check_model(model)
    (features,) = model.graph.input
    assert (features.name, features.type.tensor_type.elem_type) == ("features", onnx.TensorProto.DOUBLE)
    assert features.type.tensor_type.shape.dim[1].dim_value == 4
    assert "General health" in features.doc_string
    assert [output.name for output in model.graph.output] == ["label", "probabilities"]
    assert {entry.key: entry.value for entry in model.metadata_props} == {"columns": "BMI,GeneralHealth,Age,Income"}
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 17, "ai.onnx.ml": 3}


def test_bytes_are_the_same_for_the_same_model(reduced):
    assert export_onnx(reduced.pipeline, SELECTED) == export_onnx(reduced.pipeline, SELECTED)


def test_body_mass_indices_between_whole_numbers_agree(reduced):
    rows = np.column_stack([np.linspace(15, 60, 4501), np.full(4501, 3.0), np.full(4501, 9.0), np.full(4501, 5.0)])
    content = export_onnx(reduced.pipeline, SELECTED)
    assert agreement.measure(answers(reduced.pipeline, rows), onnx_answers(content, rows)).within(TOLERANCE)


def test_values_beside_every_threshold_agree(reduced):
    """Where arithmetic in single precision would choose the other branch."""
    scaler = reduced.pipeline.named_steps["scaler"]
    trees = reduced.pipeline.named_steps["classifier"].estimators_.ravel()
    thresholds = np.concatenate([tree.tree_.threshold[tree.tree_.feature == 0] for tree in trees])
    edges = thresholds * scaler.scale_[0] + scaler.mean_[0]
    bmi = np.concatenate([edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)])
    rows = np.column_stack([bmi, *(np.full(len(bmi), value) for value in (3.0, 9.0, 5.0))])
    check(export_onnx(reduced.pipeline, SELECTED), reduced.pipeline, rows)


def test_another_model_is_refused(trained, frame, reduced):
    other = reduce_pipeline(trained, frame).pipeline
    other.named_steps["imputer"].statistics_ = other.named_steps["imputer"].statistics_ - 2
    with pytest.raises(ExportError, match="labels differ, and probabilities by up to"):
        check(export_onnx(other, SELECTED), reduced.pipeline, agreement.every_input(SELECTED))


def test_another_pipeline_is_refused(reduced):
    steps = [*reduced.pipeline.steps[:-1], ("classifier", LogisticRegression())]
    with pytest.raises(ExportError, match=r"SimpleImputer, StandardScaler, LogisticRegression; expected"):
        export_onnx(Pipeline(steps), SELECTED)

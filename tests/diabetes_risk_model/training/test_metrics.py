import json

import numpy as np
import pandas as pd
import pytest

from diabetes_risk_model.training.metrics import plain, tuning_effect
from diabetes_risk_model.training.train import Trained


def trained(mean: float, std: float, kept: bool = True) -> Trained:
    return Trained(None, pd.DataFrame({"F1": [mean, std]}, index=["Mean", "Std"]), {}, kept)


@pytest.mark.parametrize(
    ("created", "tuned", "inside"),
    [((0.74, 0.005), (0.743, 0.004), True), ((0.74, 0.002), (0.743, 0.001), False), ((0.74, 0.0), (0.74, 0.0), True)],
)
def test_a_difference_is_judged_by_the_larger_spread(created, tuned, inside):
    effect = tuning_effect(trained(*created), trained(*tuned))
    assert effect["inside_spread"] is inside
    assert effect["difference"] == pytest.approx(tuned[0] - created[0])
    assert effect["spread"] == max(created[1], tuned[1])


def test_a_loss_is_a_difference_too():
    assert tuning_effect(trained(0.74, 0.001), trained(0.70, 0.001, kept=False)) == {
        "metric": "F1",
        "difference": -0.04,
        "spread": 0.001,
        "inside_spread": False,
        "kept": False,
    }


def test_numbers_of_numpy_become_json():
    assert json.dumps(plain({"b": np.float64(0.5), "a": np.int64(3), "c": None})) == '{"a": 3, "b": 0.5, "c": null}'

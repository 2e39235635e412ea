"""Every measure under every loss and form of samples: a value, or a row with the reason."""

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, one_hot

from analysis.measures import MEASURES
from analysis.settings import AverageSettings, HaarSettings, SharpnessSettings
from analysis.sharpness import measure
from analysis.sharpness.loss import LossLike
from tests.analysis.sharpness.hessian.language_model import LanguageModel, text
from tests.analysis.sharpness.networks import perceptron, samples

SETTINGS = SharpnessSettings(
    orders=(0.5,),
    all_layers_only=tuple(MEASURES),
    average=AverageSettings(sigmas=(0.1,), num_draws=2),
    haar=HaarSettings(rhos=(0.1,), num_draws=2),
)
OF_CLASSIFIERS = {name for name in MEASURES if name.startswith("pacbayes") or "margin" in name}


def without_value(
    model: nn.Module, inputs: object, targets: Tensor, loss: LossLike, measures: Iterable[str] = MEASURES
) -> dict[str, str]:
    layer = [name for name, parameter in model.named_parameters() if parameter.ndim == 2][-1]
    settings = SETTINGS.model_copy(update={"layers": (layer,), "max_products": 20, "num_probes": 2, "num_matvecs": 5})
    rows = measure(model, inputs, targets, settings, measures=measures, loss=loss)
    assert {row.measure for row in rows} == set(measures)
    return {row.measure: str(row.reason) for row in rows if row.value is None}


@pytest.mark.parametrize("loss", ["mse", mse_loss])
def test_a_regression_lacks_what_needs_classes(loss: LossLike) -> None:
    inputs, classes = samples()
    missing = without_value(perceptron(), inputs, one_hot(classes, 3).double(), loss)
    needing = {name: reason for name, reason in missing.items() if name in OF_CLASSIFIERS}
    assert set(needing) == OF_CLASSIFIERS
    assert all("not that of a classifier" in r or "margin needs" in r for r in needing.values())
    assert set(missing) - OF_CLASSIFIERS <= {"trace_imbalance", "dist_l2", "dist_spec"}  # no initial weights


def test_tokens_lack_what_needs_inputs_that_can_be_moved() -> None:
    torch.manual_seed(0)
    inputs, targets = text(3, vocabulary=5, length=4)
    names = ["renyi", "trace", "sam", "fisher_rao", "avg", "path_norm", "inverse_margin", "haar_loss"]
    missing = without_value(LanguageModel(4, 1, 2, 5).double(), inputs, targets, "cross_entropy", names)
    assert "one floating-point tensor in memory" in missing["haar_loss"]
    assert set(missing) == {"path_norm", "inverse_margin", "haar_loss"}


def test_one_step_sharpness_is_that_of_the_loss() -> None:
    inputs, classes = samples()
    model, targets = perceptron(), one_hot(classes, 3).double()
    names = ["sam"]
    ours = measure(model, inputs, targets, measures=names, loss="mse")
    parameters = list(model.parameters())
    before = mse_loss(model(inputs), targets)
    gradient = torch.autograd.grad(before, parameters)
    norm = torch.cat([g.flatten() for g in gradient]).norm()
    with torch.no_grad():
        for parameter, g in zip(parameters, gradient, strict=True):
            parameter.add_(0.05 * g / norm)
        rise = mse_loss(model(inputs), targets) - before
    (found,) = [row.value for row in ours if row.layer == "all" and row.parameter == 0.05]
    assert found == pytest.approx(rise.item(), rel=1e-9)

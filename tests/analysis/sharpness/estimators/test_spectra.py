import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from analysis.errors import AnalysisError, UndefinedMeasureError
from analysis.sharpness import block_operator, layer_spectra
from analysis.sharpness.estimators.slq import Effort
from analysis.sharpness.estimators.spectra import estimate_spectrum, exact_price
from analysis.spectrum.measures import NOT_RESOLVED, renyi_sharpness
from analysis.spectrum.quadrature import SpectralQuadrature, renyi_entropy
from analysis.spectrum.rules import Ending
from tests.analysis.sharpness.dense_operator import DenseOperator, zero_dominant

NUM_CLASSES = 10


def softmax_regression(num_inputs: int) -> nn.Module:
    """Bias-free, at W = 0, where the Hessian is (I − 11ᵀ/C)/C ⊗ XᵀX/N."""
    model = nn.Linear(num_inputs, NUM_CLASSES, bias=False, dtype=torch.float64)
    nn.init.zeros_(model.weight)
    return nn.Sequential(model)


def small_network(seed: int = 0, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 20), activation(), nn.Linear(20, 30), activation(), nn.Linear(30, 4)).double()


def samples(num_inputs: int, num_classes: int, size: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(size, num_inputs, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(num_classes, (size,), generator=generator)


@pytest.mark.parametrize("estimator", ["exact", "ritz"])
@pytest.mark.parametrize(
    ("order", "entropy"),
    [(0.5, 4.6270395), (1, 3.58938363), (1.5, 3.0934692), (2, 2.88107996), (3, 2.72304407), (math.inf, 2.54812186)],
)
def test_softmax_regression_on_digits_end_to_end(estimator: str, order: float, entropy: float) -> None:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    inputs, targets = torch.as_tensor(pixels[:50] / 16), torch.as_tensor(labels[:50])
    spectra = layer_spectra(softmax_regression(64), inputs, targets, ["0.weight"], estimator, max_products=2000)
    estimate = spectra["0.weight"].renyi_entropy(order)
    if estimator == "exact":
        assert estimate.value == pytest.approx(entropy, abs=1e-7)
    else:
        assert spectra["0.weight"].num_products < 640
        assert estimate.value == pytest.approx(entropy, abs=0.08)
        assert estimate.ci_low <= entropy <= estimate.ci_high


def test_one_sample_and_orthonormal_samples() -> None:
    model = softmax_regression(8)
    targets = torch.arange(5)
    one = layer_spectra(model, torch.ones(1, 8, dtype=torch.float64), targets[:1], ["0.weight"], "exact")
    orthonormal = layer_spectra(model, torch.eye(5, 8, dtype=torch.float64), targets, ["0.weight"], "exact")
    for order in (0.5, 1.0, 2.0, math.inf):
        assert one["0.weight"].renyi_entropy(order).value == pytest.approx(math.log(9), abs=1e-9)
        assert orthonormal["0.weight"].renyi_entropy(order).value == pytest.approx(math.log(9 * 5), abs=1e-9)


@pytest.mark.parametrize("estimator", ["ritz", "paired", "paper"])
def test_every_estimator_is_near_the_exact_spectrum(estimator: str) -> None:
    model, (inputs, targets) = small_network(), samples(12, 4)
    block = block_operator(model, inputs, targets, "2.weight", "r_operator")
    exact = estimate_spectrum(block, "exact", Effort(), 0)
    estimate = estimate_spectrum(block, estimator, Effort(), 0)
    assert estimate.renyi_entropy(2).value == pytest.approx(exact.renyi_entropy(2).value, abs=0.25)
    assert estimate.estimator == estimator


def test_all_layers_come_under_none_and_defaults_are_every_layer() -> None:
    model, (inputs, targets) = small_network(), samples(12, 4)
    spectra = layer_spectra(model, inputs, targets, estimator="paired", num_probes=2, num_matvecs=4)
    assert list(spectra) == ["0.weight", "2.weight", "4.weight", None]
    assert spectra[None].dim == sum(parameter.numel() for parameter in model.parameters())


def test_the_hessian_of_one_relu_layer_is_semidefinite_and_that_of_all_is_not() -> None:
    model, (inputs, targets) = small_network(), samples(12, 4)
    spectra = layer_spectra(model, inputs, targets, ["2.weight", None], "exact")
    assert not spectra["2.weight"].indefinite
    assert spectra[None].indefinite


def test_entropies_do_not_increase_with_the_order() -> None:
    model, (inputs, targets) = small_network(), samples(12, 4)
    for spectrum in layer_spectra(model, inputs, targets).values():
        values = [
            spectrum.renyi_entropy(order).value for order in (0.3, 0.5, 0.9, 0.999, 1, 1.001, 1.5, 2, 3, math.inf)
        ]
        assert all(after <= before + 1e-12 for before, after in pairwise(values))
        assert values[3] - values[5] <= 0.01


def test_probes_are_the_same_for_every_model_and_differ_by_layer_and_seed() -> None:
    def trace(seed: int, layer: str, model_seed: int = 0) -> float:
        model, (inputs, targets) = small_network(model_seed), samples(12, 4)
        arguments = {"estimator": "paired", "num_probes": 2, "num_matvecs": 3, "seed": seed}
        return layer_spectra(model, inputs, targets, [layer], **arguments)[layer].trace().value  # type: ignore[arg-type]

    assert trace(0, "2.weight") == trace(0, "2.weight")
    assert trace(0, "2.weight") != trace(1, "2.weight")
    assert trace(0, "2.weight") != trace(0, "2.weight", model_seed=1)


def test_common_probes_make_differences_of_like_matrices_precise() -> None:
    eigenvalues = zero_dominant(300)
    bent = eigenvalues * np.linspace(1, 1.05, 300)
    exact = renyi_entropy(eigenvalues, 1.5) - renyi_entropy(bent, 1.5)
    effort = Effort(num_probes=10, num_matvecs=15)

    def value(spectrum: np.ndarray, seed: int) -> float:
        return (
            estimate_spectrum(DenseOperator.of_eigenvalues(spectrum), "paired", effort, seed).renyi_entropy(1.5).value
        )

    common = [value(eigenvalues, seed) - value(bent, seed) - exact for seed in range(5)]
    apart = [value(eigenvalues, seed) - value(bent, seed + 100) - exact for seed in range(5)]
    assert np.abs(common).max() < 0.1 * np.abs(apart).max()


def test_what_is_small_or_would_cost_as_much_is_computed_exactly() -> None:
    small = DenseOperator.of_eigenvalues(zero_dominant(150))
    assert estimate_spectrum(small, "ritz", Effort(), 0).exact
    # A flat spectrum has no outliers to deflate, and the tolerance asks for more products than there are rows.
    flat = DenseOperator.of_eigenvalues(np.linspace(0.01, 1, 450) ** 6)
    quadrature = estimate_spectrum(flat, "ritz", Effort(tolerance=1e-4), 0)
    assert quadrature.exact
    assert quadrature.num_products == flat.num_products <= 2 * 450
    cheap = estimate_spectrum(flat, "ritz", Effort(tolerance=0.1), 0)
    assert cheap.ending is Ending.TOLERANCE
    assert cheap.num_products < 450


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_exact_spectrum_of_a_factor_comes_without_products(dtype: torch.dtype) -> None:
    model, (inputs, targets) = small_network().to(dtype), samples(12, 4, size=30)
    arguments = (model, inputs.to(dtype), targets)
    factor = block_operator(*arguments, "2.weight", engine="gauss_newton_factor")
    spectrum = estimate_spectrum(factor, "exact", Effort(), 0)
    block = block_operator(*arguments, "2.weight", engine="double_backward")
    H = block.matmat(torch.eye(block.dim, dtype=dtype)).double().numpy()
    dense = np.linalg.eigvalsh(0.5 * (H + H.T))
    assert spectrum.num_products == 0
    assert spectrum.dim == 600
    for order in (0.5, 1.0, 2.0):
        exact = renyi_entropy(np.where(dense > 1e-7 * dense.max(), dense, 0), order)
        assert spectrum.renyi_entropy(order).value == pytest.approx(exact, abs=5e-3)
        assert spectrum.renyi_entropy(order).resolved


def test_what_costs_less_than_an_estimate_is_computed_exactly_without_asking() -> None:
    model, (inputs, targets) = small_network(), samples(12, 4, size=30)
    # 90 rows of the factor, 600 of the block: the Gram matrix's spectrum costs less than 250 products.
    block = block_operator(model, inputs, targets, "2.weight", engine="gauss_newton_factor")
    assert exact_price(block) < 250 < block.dim
    spectrum = estimate_spectrum(block, "ritz", Effort(), 0)
    assert spectrum.exact
    assert spectrum.num_products == 0


def test_the_gauss_newton_part_is_semidefinite_and_another_matrix_where_the_hessian_is_not() -> None:
    model, (inputs, targets) = small_network(activation=nn.GELU), samples(12, 4)
    layers = ["0.weight", None]
    hessian = layer_spectra(model, inputs, targets, layers, "exact")
    gauss_newton = layer_spectra(model, inputs, targets, layers, "exact", curvature="gauss_newton")
    for layer in layers:
        assert hessian[layer].indefinite
        assert not gauss_newton[layer].indefinite
        difference = gauss_newton[layer].renyi_entropy(1.5).value - hessian[layer].renyi_entropy(1.5).value
        assert abs(difference) > 0.05


def test_beyond_the_memory_limit_it_falls_back_on_plain_quadrature() -> None:
    operator = DenseOperator.of_eigenvalues(zero_dominant(450))
    quadrature = estimate_spectrum(operator, "ritz", Effort(memory_limit=100 * 450 * 8), 0)
    assert quadrature.estimator == "paired"


def test_a_dense_matrix_that_does_not_fit_is_refused_or_avoided() -> None:
    operator = DenseOperator.of_eigenvalues(zero_dominant(150))
    small = Effort(memory_limit=2 * 8 * 150**2 - 1)
    with pytest.raises(AnalysisError, match=r"150 rows takes .* 'ritz'"):
        estimate_spectrum(operator, "exact", small, 0)
    assert exact_price(operator, small.memory_limit) == math.inf
    assert not estimate_spectrum(operator, "ritz", small, 0).exact


def test_refusals_name_the_value_and_the_choices() -> None:
    with pytest.raises(AnalysisError, match="ritz, paired, paper, exact; got 'magic'"):
        estimate_spectrum(DenseOperator(np.eye(3)), "magic", Effort(), 0)
    model, (inputs, targets) = small_network(), samples(12, 4)
    with pytest.raises(UndefinedMeasureError, match="NaN"):
        layer_spectra(model, inputs * math.nan, targets)


def test_rows_carry_errors_reasons_and_warnings() -> None:
    spectra: dict[str, SpectralQuadrature | UndefinedMeasureError] = {
        "a": SpectralQuadrature.from_eigenvalues([4.0, 1.0]),
        "dead": SpectralQuadrature.from_eigenvalues([0.0, 0.0]),
        "broken": UndefinedMeasureError("the loss is nan"),
        "hidden": SpectralQuadrature.from_eigenvalues(np.append(np.full(400, 1e-16), 1.0), noise=1e-14),
    }
    rows = {(row.layer, row.parameter): row for row in renyi_sharpness(spectra, (0.1, 2.0))}
    assert rows["a", 2.0].value == pytest.approx(-renyi_entropy([4.0, 1.0], 2))
    assert (rows["a", 2.0].stderr, rows["a", 2.0].reason) == (0, None)
    assert rows["dead", 2.0].value is None
    assert "zero" in str(rows["dead", 2.0].reason)
    assert rows["broken", 0.1].reason == "the loss is nan"
    assert rows["hidden", 0.1].reason == NOT_RESOLVED
    assert rows["hidden", 0.1].value is not None
    assert rows["hidden", 2.0].reason is None


def test_the_engine_and_the_reason_for_it_are_kept_with_the_spectrum() -> None:
    spectra = layer_spectra(small_network(), *samples(12, 4), ["0.weight", None], "exact")
    assert spectra["0.weight"].engine == "gauss_newton_implicit"
    assert "forward passes for the exact spectrum, against" in spectra["0.weight"].engine_reason
    assert spectra[None].engine == "r_operator"

"""Every engine against rows of the dense Hessian and Gauss–Newton matrices, in float64, on every architecture."""

import re
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

import analysis
from analysis.sharpness.hessian import block_operator, layer_operators
from analysis.sharpness.hessian.choice import AUTO
from analysis.sharpness.hessian.engines import ENGINES
from analysis.sharpness.layers import select_parameters, weight_layers
from tests.analysis.sharpness.hessian.networks import (
    NETWORKS,
    PIECEWISE_LINEAR,
    SMOOTH,
    build,
    gauss_newton,
    hessian_rows,
    samples,
)

LARGE = 600
DISTINCT = [network for network in NETWORKS if network != "digits_cnn"]  # of which digits_cnn_bn has every kind of step
NAMES = [AUTO, *ENGINES]
# Every engine, on every network that it does not refuse as a whole; the fallback on double backward is a test below.
REFUSED = {
    ("hessian", network, engine)
    for network in SMOOTH
    for engine in ("gauss_newton_factor", "gauss_newton_gram", "gauss_newton_implicit")
}
REFUSED |= {(curvature, network, "r_operator") for network in SMOOTH for curvature in ("hessian", "gauss_newton")}


def served(networks: Iterable[str], curvature: str = "hessian") -> list[tuple[str, str]]:
    return [
        (network, engine) for network in networks for engine in NAMES if (curvature, network, engine) not in REFUSED
    ]


@cache
def subject(network: str) -> tuple[nn.Module, Tensor, Tensor]:
    return build(network), *samples(5)


@cache
def expected_rows(network: str, layer: str | None) -> tuple[Tensor, Tensor]:
    """Probes of a block, and their products with the Hessian: the oracle, computed once for all engines."""
    model, inputs, targets = subject(network)
    parameters = dict(model.named_parameters())
    names = list(select_parameters(model, layer))
    V = probes(sum(parameters[name].numel() for name in names))
    return V, hessian_rows(model, inputs, targets, names, V)


@cache
def expected_gauss_newton(network: str, layer: str | None) -> Tensor:
    """(n, n), once for all engines."""
    model, inputs, targets = subject(network)
    return gauss_newton(model, inputs, targets, list(select_parameters(model, layer)))


@cache
def expected_spectrum(network: str, layer: str | None) -> Tensor:
    eigenvalues: Tensor = torch.linalg.eigvalsh(expected_gauss_newton(network, layer))
    return eigenvalues.flip(0)


def assert_spectrum(exact: Tensor, network: str, layer: str | None) -> None:
    """Eigenvalue by eigenvalue; of large blocks, whose dense problem takes a second, the trace and Tr H²."""
    dense = expected_gauss_newton(network, layer)
    assert len(exact) <= len(dense)
    if len(dense) > LARGE:
        assert relative(exact.sum(), torch.trace(dense)) < 1e-10, layer
        assert relative(exact.square().sum(), dense.square().sum()) < 1e-10, layer
        return
    reference = expected_spectrum(network, layer)
    full = torch.cat([exact, exact.new_zeros(len(dense) - len(exact))])
    assert (full - reference).abs().max() < 1e-10 * reference[0], layer


def probes(dim: int, num_rows: int = 4) -> Tensor:
    """Unit vectors, for rows of the matrix, and one dense vector."""
    generator = torch.Generator().manual_seed(2)
    rows = torch.randperm(dim, generator=generator)[:num_rows]
    units = torch.nn.functional.one_hot(rows, dim).double()
    return torch.cat([units, torch.randn(1, dim, generator=generator, dtype=torch.float64)])


def relative(value: Tensor, reference: Tensor) -> float:
    return float((value - reference).norm() / reference.norm().clamp_min(1e-300))


@pytest.mark.parametrize(("network", "engine"), served(DISTINCT))
def test_hessian_rows(network: str, engine: str) -> None:
    model, inputs, targets = subject(network)
    found = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for block in layer_operators(model, inputs, targets, [*weight_layers(model), None], engine=engine):
            V, expected = expected_rows(network, block.layer)
            assert relative(block.matmat(V), expected) < 1e-9, block.layer
            found.add(block.engine)
    assert engine in (AUTO, *found) or network in SMOOTH


@pytest.mark.parametrize(("network", "engine"), served(DISTINCT, "gauss_newton"))
def test_gauss_newton_rows_and_spectra(network: str, engine: str) -> None:
    model, inputs, targets = subject(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for block in layer_operators(
            model,
            inputs,
            targets,
            [*weight_layers(model), None],
            engine=engine,
            curvature="gauss_newton",
        ):
            V = probes(block.dim)
            assert relative(block.matmat(V), V @ expected_gauss_newton(network, block.layer)) < 1e-9, block.layer
            if block.has_gram or engine == block.engine == "head":
                assert_spectrum(block.exact_eigenvalues(), network, block.layer)


@pytest.mark.parametrize("network", PIECEWISE_LINEAR)
def test_specialised_engines_serve_every_layer_of_piecewise_linear_networks(network: str) -> None:
    model, (inputs, targets) = build(network), samples(5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for engine in ("gauss_newton_factor", "gauss_newton_gram", "gauss_newton_implicit", "r_operator"):
            for block in layer_operators(model, inputs, targets, engine=engine):
                assert block.engine == engine
        assert block_operator(model, inputs, targets, None, "r_operator").engine == "r_operator"
        assert block_operator(model, inputs, targets, weight_layers(model)[-1], "head").engine == "head"


@pytest.mark.parametrize("network", SMOOTH)
def test_smooth_networks_are_served_by_double_backward_and_have_gauss_newton_factors(network: str) -> None:
    model, (inputs, targets) = build(network), samples(5)
    layer = weight_layers(model)[0]
    block = block_operator(model, inputs, targets, layer)
    assert block.engine == "double_backward"
    assert "no tape" in block.reason
    assert block_operator(model, inputs, targets, layer, "gauss_newton_factor", curvature="gauss_newton").engine == (
        "gauss_newton_factor"
    )
    with pytest.warns(RuntimeWarning, match="double_backward is used instead"):
        block_operator(model, inputs, targets, layer, "gauss_newton_factor")


@pytest.mark.parametrize(("name", "engine"), served(["odd", "simple_vit"]))
def test_one_dimensional_parameters_are_blocks_too(name: str, engine: str) -> None:
    model, (inputs, targets) = build(name), samples(3)
    names = [parameter for parameter, tensor in model.named_parameters() if tensor.ndim == 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for block in layer_operators(model, inputs, targets, names, engine=engine):
            assert block.layer is not None
            V = probes(block.dim)
            assert relative(block.matmat(V), hessian_rows(model, inputs, targets, [block.layer], V)) < 1e-9, block.layer


@pytest.mark.parametrize("engine", NAMES)
@pytest.mark.parametrize(("num_samples", "num_classes"), [(1, 1), (1, 2), (1, 3), (2, 2), (3, 11)])
def test_few_samples_and_classes(num_samples: int, num_classes: int, engine: str) -> None:
    """One class: the cross-entropy is constant, and every product zero."""
    model, (inputs, targets) = build("resnet", num_classes), samples(num_samples, num_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for block in layer_operators(model, inputs, targets, [*weight_layers(model), None], engine=engine):
            V = probes(block.dim)
            reference = hessian_rows(model, inputs, targets, list(select_parameters(model, block.layer)), V)
            assert (block.matmat(V) - reference).norm() <= 1e-9 * reference.norm() + 1e-15


@pytest.mark.parametrize(("name", "engine"), served(["odd", "resnet", "attentive"]))
def test_squared_error(name: str, engine: str) -> None:
    model, (inputs, _) = build(name), samples(4)
    targets = torch.randn(4, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for block in layer_operators(
            model,
            inputs,
            targets,
            [*weight_layers(model), None],
            engine=engine,
            loss="mse",
        ):
            names, V = list(select_parameters(model, block.layer)), probes(block.dim)
            reference = hessian_rows(model, inputs, targets, names, V, mse_loss)
            assert relative(block.matmat(V), reference) < 1e-9, block.layer


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_is_named_in_its_own_file_alone(engine: str) -> None:
    root = Path(analysis.__file__).parent
    files = [path for path in root.rglob("*.py") if f'name="{engine}"' in path.read_text()]
    assert len(files) == 1
    others = [path for path in (root / "sharpness").rglob("*.py") if path not in files]
    assert not [path for path in others if re.search(rf"[\"'`]{engine}[\"'`]", path.read_text())]

"""Folding a batch-norm into a layer, its derivative, the transpose and the curvature, against autograd."""

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import hvp, jvp

from analysis.sharpness.hessian.tape.folding import Folding, Norm
from analysis.sharpness.hessian.tape.linear_maps import ChannelScale, MatrixProduct

C, K = 4, 3
NORM = Norm("mean", "variance", 1e-3, "gamma", "beta")
FOLDINGS = {
    "layer alone": Folding(MatrixProduct(), "weight", "bias", None),
    "with batch-norm": Folding(MatrixProduct(), "weight", "bias", NORM),
    "without bias": Folding(MatrixProduct(), "weight", None, NORM),
    "without affine parameters": Folding(MatrixProduct(), "weight", "bias", Norm("mean", "variance", 1e-3, None, None)),
    "batch-norm alone": Folding(ChannelScale(), None, None, NORM),
}
GENERATOR = torch.Generator().manual_seed(0)


def draw(*size: int) -> Tensor:
    return torch.randn(*size, generator=GENERATOR, dtype=torch.float64)


STATE = {
    "weight": draw(C, K),
    "bias": draw(C),
    "mean": draw(C),
    "variance": draw(C).square() + 0.1,
    "gamma": draw(C),
    "beta": draw(C),
}


def folded(folding: Folding, parameters: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """W̃ and b̃, zeros where there is no bias."""
    W, b = folding.fold(STATE | parameters)
    return W, torch.zeros(C, dtype=torch.float64) if b is None else b


@pytest.mark.parametrize("name", FOLDINGS)
def test_fold(name: str) -> None:
    folding = FOLDINGS[name]
    x = draw(5, C if folding.weight is None else K)
    z = x if folding.weight is None else x @ STATE["weight"].T
    z = z if folding.bias is None else z + STATE["bias"]
    if folding.norm is not None:
        z = (z - STATE["mean"]) / (STATE["variance"] + 1e-3).sqrt()
        z = z if folding.norm.gamma is None else STATE["gamma"] * z + STATE["beta"]
    W, b = folding.fold(STATE)
    assert torch.allclose(folding.map.apply(x, W, b), z)


@pytest.mark.parametrize("name", FOLDINGS)
def test_directions_and_gradients(name: str) -> None:
    folding = FOLDINGS[name]
    parameters, V = ({n: make(*STATE[n].shape) for n in folding.names} for make in (draw, draw))
    point = folding.at(STATE | parameters)
    dW, db = point.push({n: v[None] for n, v in V.items()})
    at, along = tuple(parameters.values()), tuple(V.values())
    _, (expected_dW, expected_db) = jvp(lambda *values: folded(folding, dict(zip(V, values, strict=True))), at, along)
    assert dW is not None
    assert torch.allclose(dW[0], expected_dW)
    assert db is None or torch.allclose(db[0], expected_db)
    gW, gb = draw(*expected_dW.shape), draw(C)
    gradients = point.pull(gW[None], gb[None], set(folding.names))
    pulled = sum((gradients[n][0] * V[n].flatten()).sum() for n in folding.names)
    assert torch.allclose(torch.as_tensor(pulled), (gW * expected_dW).sum() + (gb * expected_db).sum())


@pytest.mark.parametrize("name", FOLDINGS)
def test_curvature(name: str) -> None:
    folding = FOLDINGS[name]
    parameters, V = ({n: make(*STATE[n].shape) for n in folding.names} for make in (draw, draw))
    W, _ = folded(folding, parameters)
    gW, gb = draw(*W.shape), draw(C)

    def value(*values: Tensor) -> Tensor:
        W, b = folded(folding, dict(zip(V, values, strict=True)))
        return (gW * W).sum() + (gb * b).sum()

    _, products = hvp(value, tuple(parameters.values()), tuple(V.values()))
    expected = dict(zip(V, products, strict=True))
    found = folding.at(STATE | parameters).curvature({n: v[None] for n, v in V.items()}, gW, gb, set(folding.names))
    for n in folding.names:
        zero = torch.zeros(1, STATE[n].numel(), dtype=torch.float64)
        assert torch.allclose(found.get(n, zero)[0], expected[n].flatten()), n

"""What a block offers besides its products, and in which precision."""

import torch

from analysis.sharpness.hessian import block_operator, layer_operators
from analysis.sharpness.layers import select_parameters
from tests.analysis.sharpness.hessian.networks import build, dense_vector, hessian_rows, samples


def test_engines_without_a_factor_have_exact_eigenvalues_too() -> None:
    model, (inputs, targets) = build("odd"), samples(4)
    block = block_operator(model, inputs, targets, None, "r_operator")
    H = hessian_rows(model, inputs, targets, list(select_parameters(model, None)), torch.eye(block.dim).double())
    reference = torch.linalg.eigvalsh(H).flip(0)
    assert (block.exact_eigenvalues() - reference).abs().max() < 1e-10 * reference.abs().max()
    assert reference[-1] < 0  # the Hessian of all layers is indefinite


def test_float32_products_are_close_to_float64() -> None:
    model, (inputs, targets) = build("resnet"), samples(6)
    wide = {b.layer: b.matmat(dense_vector(b.dim)) for b in layer_operators(model, inputs, targets)}
    model = model.float()
    for engine in ("gauss_newton_factor", "gauss_newton_gram", "r_operator", "double_backward"):
        for block in layer_operators(model, inputs.float(), targets, engine=engine):
            assert block.dtype == torch.float32
            product = block.matmat(dense_vector(block.dim).float())
            reference = wide[block.layer]
            assert (product - reference).norm() < 1e-4 * reference.norm(), (engine, block.layer)

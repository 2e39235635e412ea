"""Second derivatives of convolutions against finite differences and PyTorch's own, and the work that is left out."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.sharpness.hessian.engines.lean_convolution import LeanConvolutions
from analysis.sharpness.hessian.tape.linear_maps import Convolution

CONVOLUTIONS: dict[str, tuple[Callable[[Tensor, Tensor, Tensor | None], Tensor], tuple[int, ...], tuple[int, ...]]] = {
    "plain": (lambda x, W, b: functional.conv2d(x, W, b), (2, 2, 4, 4), (3, 2, 3, 3)),
    "padded": (lambda x, W, b: functional.conv2d(x, W, b, padding=1), (1, 2, 3, 4), (2, 2, 3, 3)),
    "strided": (lambda x, W, b: functional.conv2d(x, W, b, (2, 1), (1, 0)), (2, 1, 5, 3), (2, 1, 3, 2)),
    "dilated": (lambda x, W, b: functional.conv2d(x, W, b, dilation=2), (1, 1, 5, 5), (2, 1, 2, 2)),
    "in groups": (lambda x, W, b: functional.conv2d(x, weight=W, bias=b, groups=2), (1, 4, 3, 3), (4, 2, 2, 2)),
    "of single positions": (lambda x, W, b: functional.conv2d(x, W, b, stride=2), (2, 2, 4, 3), (3, 2, 1, 1)),
    "in one dimension": (lambda x, W, b: functional.conv1d(x, W, b, padding=1), (2, 2, 4), (2, 2, 3)),
    "in three dimensions": (lambda x, W, b: functional.conv3d(x, W, b), (1, 2, 2, 3, 2), (1, 2, 2, 2, 2)),
}


def draw(shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def is_lean(z: Tensor) -> bool:
    return type(z.grad_fn).__name__ == "_ConvolveBackward"


@pytest.mark.parametrize(("name", "biased"), [*((name, True) for name in CONVOLUTIONS), ("plain", False)])
def test_derivatives(name: str, biased: bool) -> None:
    convolve, of_x, of_W = CONVOLUTIONS[name]
    operands = [draw(of_x, 0), draw(of_W, 1), *([draw(of_W[:1], 2)] if biased else [])]

    def plain(x: Tensor, W: Tensor, b: Tensor | None = None) -> Tensor:
        return convolve(x, W, b).tanh()

    def curved(x: Tensor, W: Tensor, b: Tensor | None = None) -> Tensor:
        with LeanConvolutions():
            z = convolve(x, W, b)
        assert is_lean(z)
        return z.tanh()

    assert torch.allclose(curved(*operands), plain(*operands))
    assert torch.autograd.gradcheck(curved, operands)
    assert torch.autograd.gradgradcheck(curved, operands)


def test_what_is_left_to_pytorch() -> None:
    x, W = draw((2, 2, 4, 4), 0), draw((3, 2, 3, 3), 1)
    with LeanConvolutions():
        assert not is_lean(functional.conv2d(x, W, padding="same"))
        assert not is_lean(functional.conv2d(x[0], W))
        each = torch.func.vmap(lambda one: functional.conv2d(one[None], W)[0])(x)
        assert torch.allclose(each, functional.conv2d(x, W))


@pytest.mark.parametrize("asked", [0, 1])  # of the last one, autograd itself leaves out the others
def test_no_gradient_is_taken_in_weights_that_are_held(asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [nn.Conv2d(n, n + 1, 3, padding=1).double() for n in (2, 3, 4)]
    weights = [layer.weight for layer in layers]
    convolutions = LeanConvolutions()
    with convolutions:
        z = draw((2, 2, 4, 4), 3)
        for layer in layers:
            z = layer(z).tanh()
        gradients = torch.autograd.grad(z.square().sum(), weights, create_graph=True)
    taken: set[torch.Size] = set()
    kernel_gradient = Convolution.kernel_gradient

    def watched(self: Convolution, dz: Tensor, x: Tensor, like: Tensor) -> Tensor:
        taken.add(like.shape)
        return kernel_gradient(self, dz, x, like)

    monkeypatch.setattr(Convolution, "kernel_gradient", watched)
    v = draw(tuple(weights[asked].shape), 4).detach()
    (reference,) = torch.autograd.grad(gradients[asked], weights[asked], v, retain_graph=True)
    assert taken > {weights[asked].shape}
    taken.clear()
    with convolutions.holding(weight for weight in weights if weight is not weights[asked]):
        (product,) = torch.autograd.grad(gradients[asked], weights[asked], v)
    assert torch.equal(product, reference)
    assert taken == {weights[asked].shape}

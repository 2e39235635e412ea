"""Which basis the R-operator multiplies in, and what it computes there."""

import torch
from torch import nn

from analysis.sharpness.hessian.tape.bases import Kernels, Standard, StridedPointwise, basis_of
from analysis.sharpness.hessian.tape.linear_maps import Convolution, MatrixProduct
from tests.analysis.sharpness.hessian.tape.bases import assert_same_sums, draw


def test_positions_that_a_shortcut_sees_give_the_same_sums() -> None:
    shortcut, shape = Convolution.of(nn.Conv2d(3, 5, 1, stride=(2, 3))), (4, 3, 7, 8)
    basis = basis_of(shortcut, draw(*shape), 5, moved=True)
    assert isinstance(basis, StridedPointwise)
    assert_same_sums(basis, shortcut, shape)
    last = draw(*shape).contiguous(memory_format=torch.channels_last)
    assert basis.inputs(last).is_contiguous(memory_format=torch.channels_last)


def test_other_maps_keep_their_inputs() -> None:
    for other in (nn.Conv2d(3, 5, 1), nn.Conv2d(3, 5, 1, stride=2, padding=1), nn.Conv2d(3, 5, 3, stride=2)):
        assert type(basis_of(Convolution.of(other), draw(4, 3, 8, 8), 5, moved=True)) is Kernels
    assert type(basis_of(MatrixProduct(), draw(4, 3), 5, moved=True)) is Standard

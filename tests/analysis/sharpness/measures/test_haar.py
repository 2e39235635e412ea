import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from analysis.sharpness import loss_landscape
from analysis.sharpness.measures.haar import haar_loss, haar_transformed
from tests.analysis.sharpness.networks import perceptron, samples


def test_the_rise_of_a_linear_functions_squared_error() -> None:
    # f = wᵀx, so E L = L + ρ²‖w‖²‖x‖²/d for the whole squared error.
    torch.manual_seed(0)
    model = nn.Linear(6, 1, bias=False).double()
    inputs, _ = samples(20)
    targets = torch.zeros(20, 1, dtype=torch.float64)
    landscape = loss_landscape(model, inputs, targets, loss="mse")
    norms = inputs.square().sum(1)
    expected = (landscape.own_losses + 0.2**2 * model.weight.square().sum() * norms / 6).mean().item()
    value, stderr = haar_loss(landscape, 0.2, num_draws=2000)
    assert abs(value - expected) < 3 * stderr
    assert stderr < 0.01 * expected


def test_the_joint_draw_is_orthogonal() -> None:
    inputs, _ = samples(4, dim=9)
    moved = haar_transformed(inputs)
    assert moved.shape == inputs.shape
    assert torch.allclose(moved @ moved.T, inputs @ inputs.T)
    assert not torch.allclose(moved, inputs)


@settings(max_examples=20)
@given(st.integers(1, 8), st.integers(1, 8))
def test_more_samples_than_dimensions_are_moved_by_one_matrix_too(num_samples: int, dim: int) -> None:
    inputs, _ = samples(num_samples, dim)
    moved = haar_transformed(inputs.view(num_samples, 1, dim)).flatten(1)
    assert torch.allclose(moved @ moved.T, inputs @ inputs.T)


def test_both_forms_have_the_same_mean() -> None:
    model, (inputs, targets) = perceptron(), samples()
    landscape = loss_landscape(model, inputs, targets)
    sphere, stderr = haar_loss(landscape, 0.5, num_draws=400)
    joint = torch.stack(
        [
            loss_landscape(model, inputs + 0.5 * haar_transformed(inputs, seed), targets).own_losses.mean()
            for seed in range(200)
        ]
    )
    spread = (stderr**2 + joint.var().item() / 200) ** 0.5
    assert abs(joint.mean().item() - sphere) < 3.5 * spread


def test_signs_are_fixed_so_that_the_matrix_is_haar() -> None:
    # A QR that leaves signs to the library gives a first column with a fixed sign: its mean would not vanish.
    one = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    moved = torch.cat([haar_transformed(one, seed) for seed in range(400)])
    assert moved.mean(0).abs().max() < 4 * (1 / 3 / 400) ** 0.5


def test_moving_samples_is_moving_the_first_layer() -> None:
    # eq. 2: f(x + ρ A x; W) = f(x; W + ρ W A) for a dense first layer.
    model, (inputs, _) = perceptron(), samples()
    A, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    moved = model(inputs + 0.3 * inputs @ A.T)
    with torch.no_grad():
        weight = model.get_parameter("0.weight")
        weight.add_(0.3 * weight @ A)
    assert torch.allclose(model(inputs), moved)

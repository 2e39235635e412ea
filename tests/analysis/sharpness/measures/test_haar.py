import torch
from scipy import stats
from torch import nn

from analysis.sharpness import loss_landscape
from analysis.sharpness.measures.haar import haar_loss
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


def test_the_mean_is_that_over_orthogonal_matrices_that_all_samples_share() -> None:
    model, (inputs, targets) = perceptron(), samples()
    landscape = loss_landscape(model, inputs, targets)
    sphere, stderr = haar_loss(landscape, 0.5, num_draws=400)
    matrices = stats.ortho_group(inputs.shape[1], seed=0).rvs(200)
    moved = [inputs + 0.5 * inputs @ torch.from_numpy(A).T for A in matrices]
    joint = torch.stack([loss_landscape(model, x, targets).own_losses.mean() for x in moved])
    spread = (stderr**2 + joint.var().item() / 200) ** 0.5
    assert abs(joint.mean().item() - sphere) < 3.5 * spread


def test_moving_samples_is_moving_the_first_layer() -> None:
    # eq. 2: f(x + ρ A x; W) = f(x; W + ρ W A) for a dense first layer.
    model, (inputs, _) = perceptron(), samples()
    A, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    moved = model(inputs + 0.3 * inputs @ A.T)
    with torch.no_grad():
        weight = model.get_parameter("0.weight")
        weight.add_(0.3 * weight @ A)
    assert torch.allclose(model(inputs), moved)

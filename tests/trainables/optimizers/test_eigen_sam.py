"""Eigen-SAM's steps on a quadratic by hand; its eigenvector against `block_operator`, and when it is updated."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from analysis.sharpness import block_operator
from tests.trainables.optimizers.networks import assert_same_state, batches, closure_for, network, train
from tests.trainables.optimizers.quadratic import Quadratic, about, closure_of
from trainables.errors import TrainingError
from trainables.optimizers import SAM, EigenSAM


def flat(optimizer: EigenSAM) -> torch.Tensor:
    """v of all parameters."""
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    return torch.cat([optimizer.state[parameter]["eigenvector"].flatten() for parameter in parameters])


def test_iterations_are_those_of_the_power_method_on_our_operator() -> None:
    """One by one from the same start; in eval mode, with running statistics; nothing else is touched."""
    model = network()
    train(model, torch.optim.SGD(model.parameters(), lr=0.1), batches(3))
    inputs, targets = batches(1)[0]
    operator = block_operator(model.eval(), inputs, targets, None)
    model.train()
    model[1].eval()
    state = network()
    state.load_state_dict(model.state_dict())
    one = EigenSAM(model.parameters(), model=model, iterations=1, lr=0.1)
    one.update_eigenvector(closure_for(model, inputs, targets))
    expected = flat(one)
    for _ in range(4):
        product = operator.matmat(expected[None])[0]
        expected = product / product.norm()
    five = EigenSAM(model.parameters(), model=model, iterations=5, lr=0.1)
    five.update_eigenvector(closure_for(model, inputs, targets))
    torch.testing.assert_close(flat(five), expected, rtol=1e-8, atol=1e-8)
    assert_same_state(model, state)
    assert (model.training, model[1].training) == (True, False)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_closure_that_accumulates_gives_the_vector_of_the_whole_batch() -> None:
    model = network().eval()
    inputs, targets = batches(1)[0]
    vectors = []
    for parts in (1, 2):
        optimizer = EigenSAM(model.parameters(), model=model, lr=0.1)

        def closure(parts: int = parts) -> None:
            for images, classes in zip(inputs.chunk(parts), targets.chunk(parts), strict=True):
                (cross_entropy(model(images), classes) / parts).backward()

        optimizer.update_eigenvector(closure)
        vectors.append(flat(optimizer))
    torch.testing.assert_close(vectors[0], vectors[1])


def test_warm_starts_converge_to_the_leading_eigenvector() -> None:
    model = network().eval()
    inputs, targets = batches(1)[0]
    operator = block_operator(model, inputs, targets, None)
    values, vectors = torch.linalg.eigh(operator.matmat(torch.eye(operator.dim, dtype=torch.float64)))
    leading = values.abs().argmax()
    optimizer = EigenSAM(model.parameters(), model=model, lr=0.1)
    errors = []
    for _ in range(30):
        optimizer.update_eigenvector(closure_for(model, inputs, targets))
        errors.append(1 - (flat(optimizer) @ vectors[:, leading]).abs().item())
    assert errors[-1] < min(1e-6, errors[0])
    assert optimizer.log_values()["eigenvalue"].item() == pytest.approx(values[leading].item(), rel=1e-4)


def test_eigenvector_is_renewed_each_period_of_an_epoch_but_not_at_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    optimizer = EigenSAM(model.parameters(), model=model, period=3, lr=0.1)
    renewed: list[int] = []
    update = EigenSAM.update_eigenvector

    def note(self: EigenSAM, *arguments: Any) -> None:
        renewed.append(step)
        update(self, *arguments)

    monkeypatch.setattr(EigenSAM, "update_eigenvector", note)
    for step in range(16):
        train(model, optimizer, batches(1, seed=step))
        if step == 7:
            optimizer.end_epoch()
    assert renewed == [3, 6, 11, 14]


def test_attention_and_dropout_are_no_obstacle() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Linear(4, 12)
            self.dropout = nn.Dropout(0.5)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            queries, keys, values = self.project(tokens).chunk(3, dim=-1)
            out: torch.Tensor = self.dropout(scaled_dot_product_attention(queries, keys, values))
            return out

    torch.manual_seed(0)
    model = Attention()
    tokens = torch.randn(2, 1, 5, 4)
    optimizer = EigenSAM(model.parameters(), model=model, period=1, lr=0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss: torch.Tensor = model(tokens).square().mean()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    assert optimizer.eigenvalue > 0


def test_linear_loss_keeps_the_vector_it_has() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = EigenSAM([weight], model=nn.Identity(), lr=0.1)
    optimizer.update_eigenvector(lambda: (weight.sum() + 0 * weight.square().sum()).backward())
    assert flat(optimizer).norm().item() == pytest.approx(1.0)


class TwoScales(nn.Module):
    """½(w₁² + 4w₂²) + ½(9u₁² + u₂²): of the first layer v is (0, 1), of the second (1, 0)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.tensor([1.0, 0.5]).double())
        self.second = nn.Parameter(torch.tensor([1.0, 2.0]).double())

    def forward(self) -> torch.Tensor:
        """The two losses."""
        first = 0.5 * (self.first.square() @ torch.tensor([1.0, 4.0]).double())
        return torch.stack([first, 0.5 * (self.second.square() @ torch.tensor([9.0, 1.0]).double())])


def test_eigenvector_is_used_for_the_parameters_that_it_belongs_to() -> None:
    """The first layer is frozen, the second, of the same shape, is thawed: steps are SAM's until v is known of it."""
    model, reference = TwoScales(), TwoScales()
    model.second.requires_grad_(False)
    optimizer = EigenSAM(model.parameters(), model=model, iterations=40, rho=0.1, lr=0.1)
    optimizer.update_eigenvector(lambda: model()[0].backward())
    assert optimizer.state[model.first]["eigenvector"].abs().tolist() == pytest.approx([0.0, 1.0], abs=1e-9)
    model.first.requires_grad_(False)
    model.second.requires_grad_(True)

    def closure() -> None:
        optimizer.zero_grad()
        model()[1].backward()

    optimizer.step(closure)
    plain = SAM([reference.second], rho=0.1, lr=0.1)
    plain.step(lambda: (plain.zero_grad(), reference()[1].backward()))
    assert torch.equal(model.second, reference.second)
    optimizer.update_eigenvector(closure)
    assert optimizer.state[model.second]["eigenvector"].abs().tolist() == pytest.approx([1.0, 0.0], abs=1e-9)
    assert optimizer.eigenvalue.item() == pytest.approx(9.0)


@pytest.mark.parametrize("way", ["weights", "function", "sum", "grad", "in place of backward"])
def test_every_way_of_calling_backward_is_seen(way: str) -> None:
    """The losses weighted by (10, 1), in five ways: v is (0, 1, 0, 0) and λ = 40."""
    model = TwoScales()
    optimizer = EigenSAM(model.parameters(), model=model, iterations=60, lr=0.1)
    weights = torch.tensor([10.0, 1.0]).double()

    def closure() -> None:
        optimizer.zero_grad(set_to_none=way != "sum")
        losses = model()
        if way == "weights":
            losses.backward(weights)
        elif way == "function":
            torch.autograd.backward(losses, weights)
        elif way == "sum":
            torch.autograd.backward((losses * weights).sum())
        elif way == "grad":
            gradients = torch.autograd.grad(losses @ weights, list(model.parameters()))
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter.grad = gradient
        else:
            (10 * losses[0]).backward(retain_graph=True)
            torch.autograd.backward([losses[1]])

    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer.update_eigenvector(closure)
    assert flat(optimizer).abs().tolist() == pytest.approx([0.0, 1.0, 0.0, 0.0], abs=1e-6)
    assert optimizer.eigenvalue.item() == pytest.approx(40.0, rel=1e-6)
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_differences_are_close_to_second_derivatives_in_float32() -> None:
    model = network().float().eval()
    inputs, targets = batches(1)[0]
    vectors = []
    ways: tuple[Any, ...] = (torch.Tensor.backward, torch.autograd.backward)
    for backward in ways:
        optimizer = EigenSAM(model.parameters(), model=model, iterations=5, lr=0.1)

        def closure(backward: Any = backward) -> None:
            backward(cross_entropy(model(inputs.float()), targets))

        optimizer.update_eigenvector(closure)
        vectors.append(flat(optimizer))
    assert (vectors[0] @ vectors[1]).abs().item() == pytest.approx(1.0, abs=1e-5)


def test_differences_of_coarse_weights_are_refused() -> None:
    weight = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    optimizer = EigenSAM([weight], model=nn.Identity(), lr=0.1)
    with pytest.raises(TrainingError, match=r"half precision are too coarse.*call loss.backward\(\) in the closure"):
        optimizer.update_eigenvector(lambda: torch.autograd.backward(weight.square().sum()))


def test_closure_without_backward_is_named() -> None:
    model = network()
    inputs, _ = batches(1)[0]
    optimizer = EigenSAM(model.parameters(), model=model, lr=0.1)
    with pytest.raises(TrainingError, match="closure must call backward"):
        optimizer.update_eigenvector(lambda: model(inputs).sum())


def eigen_sam(vector: list[float], renormalize: bool = False) -> tuple[EigenSAM, Quadratic]:
    model = Quadratic()
    optimizer = EigenSAM(model.parameters(), rho=0.1, model=model, lr=0.1, renormalize=renormalize)
    optimizer.state[model.weight].update(eigenvector=torch.tensor(vector).double(), eigenvector_updates=1)
    return optimizer, model


def test_eigen_sam() -> None:
    optimizer, model = eigen_sam([0.0, 1.0])
    optimizer.step(closure_of(model))
    assert optimizer.epsilon_norm.item() == pytest.approx(0.1003992, abs=1e-7)
    assert model.weight.tolist() == about([0.8963279, 0.2626229])


def test_eigen_sam_renormalized() -> None:
    optimizer, model = eigen_sam([0.0, 1.0], renormalize=True)
    optimizer.step(closure_of(model))
    assert optimizer.epsilon_norm.item() == pytest.approx(0.1)
    assert model.weight.tolist() == about([0.8963424, 0.2627715])


def test_eigen_sam_does_not_depend_on_the_sign_of_the_eigenvector() -> None:
    optimizer, model = eigen_sam([0.0, -1.0])
    optimizer.step(closure_of(model))
    assert model.weight.tolist() == about([0.8963279, 0.2626229])

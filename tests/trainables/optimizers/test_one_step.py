"""One exact step of every optimizer that a sweep knows, by hand in float64; a hundred of Nesterov's and of AdamW's."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch.nn.functional import cross_entropy

from tests.trainables.optimizers.networks import batches, network
from tests.trainables.optimizers.quadratic import Quadratic, closure_of
from trainables.optimizers import EigenSAM
from trainables.optimizers.build import build_optimizer
from trainables.trial.specs import OPTIMIZER_SPECS, OptimizerSpec

RATE, DECAY, MOMENTUM, RHO = 0.1, 0.01, 0.9, 0.1
Pair = tuple[float, float]
W, G = (1.0, 0.5), (1.0, 2.0)  # where the quadratic starts, and its gradient there
NORM = math.sqrt(5)


def built(name: str, model: torch.nn.Module, **settings: Any) -> Any:
    fields = {"name": name, "learning_rate": RATE, "weight_decay": DECAY} | settings
    return build_optimizer(TypeAdapter(OptimizerSpec).validate_python(fields), model)


def gradient_at(w: Pair) -> Pair:
    return w[0], 4 * w[1]


def moved(epsilon: Pair) -> Pair:
    """The gradient at w + ε."""
    return gradient_at((W[0] + epsilon[0], W[1] + epsilon[1]))


def stepped(gradient: Pair, nesterov: bool = False) -> Pair:
    """w − lr·(g + λw), with Nesterov's look ahead 1 + μ times that: the first buffer is the gradient itself."""
    factor = RATE * (1 + MOMENTUM if nesterov else 1)
    return W[0] - factor * (gradient[0] + DECAY * W[0]), W[1] - factor * (gradient[1] + DECAY * W[1])


def orthogonal(of: Pair, to: Pair) -> Pair:
    share = (of[0] * to[0] + of[1] * to[1]) / (to[0] ** 2 + to[1] ** 2)
    return of[0] - share * to[0], of[1] - share * to[1]


def ascent(radius: float = RHO) -> Pair:
    """SAM's ε = ρ g/(‖g‖ + 1e-12)."""
    return radius * G[0] / (NORM + 1e-12), radius * G[1] / (NORM + 1e-12)


def asam() -> Pair:
    """ε = ρ T² g/‖T g‖, T = |w| + η."""
    t = (W[0] + 0.01, W[1] + 0.01)
    length = math.hypot(t[0] * G[0], t[1] * G[1])
    return moved((RHO * t[0] ** 2 * G[0] / length, RHO * t[1] ** 2 * G[1] / length))


def eigen_sam() -> Pair:
    """ε = ρ(ĝ + α sign(ĝ·v) v⊥), v = (0, 1) the Hessian's leading eigenvector."""
    unit = G[0] / NORM, G[1] / NORM
    across = orthogonal((0.0, 1.0), unit)
    return moved((RHO * (unit[0] + 0.2 * across[0]), RHO * (unit[1] + 0.2 * across[1])))


def rsam() -> Pair:
    """ε = ρ (Σ|g|^2α/(Σg²)^(α+1)) g for α above 1."""
    factor = RHO * (G[0] ** 2.4 + G[1] ** 2.4) / 5**2.2
    return moved((factor * G[0], factor * G[1]))


def gsam() -> Pair:
    """g_p less α times the part of g orthogonal to it."""
    perturbed = moved(ascent())
    across = orthogonal(G, perturbed)
    return perturbed[0] - 0.4 * across[0], perturbed[1] - 0.4 * across[1]


def friendly_sam() -> Pair:
    """ε = ρ d/‖d‖, d = g − σ(1 − λ) g at the first step: along g."""
    return moved(ascent())


def adam(decoupled: bool) -> Pair:
    """At the first step m̂ = g and v̂ = g², so the step is lr·g/(|g| + 1e-8): lr·sign(g), nearly."""
    found = []
    for w, g in zip(W, G, strict=True):
        g, w = (g, w * (1 - RATE * DECAY)) if decoupled else (g + DECAY * w, w)
        found.append(w - RATE * g / (abs(g) + 1e-8))
    return found[0], found[1]


BY_HAND: dict[str, tuple[Callable[[], Pair], dict[str, Any]]] = {
    "sgd": (lambda: G, {}),
    "sam": (lambda: moved(ascent()), {"rho": RHO}),
    "asam": (asam, {"rho": RHO}),
    "eigen_sam": (eigen_sam, {"rho": RHO, "power_iterations": 60}),
    "rsam": (rsam, {"rho": RHO, "plain_epochs": 0}),
    "look_sam": (lambda: moved(ascent()), {"rho": RHO}),
    "gsam": (gsam, {"rho": RHO}),
    "friendly_sam": (friendly_sam, {"rho": RHO}),
}


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("name", BY_HAND)
def test_one_step_over_sgd(name: str, nesterov: bool) -> None:
    by_hand, settings = BY_HAND[name]
    model = Quadratic()
    optimizer = built(name, model, momentum=MOMENTUM, nesterov=nesterov, **settings)
    if isinstance(optimizer, EigenSAM):
        optimizer.update_eigenvector(closure_of(model))
    optimizer.step(closure_of(model))
    assert model.weight.tolist() == pytest.approx(stepped(by_hand(), nesterov), rel=0, abs=1e-12)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_one_step_of_adam(name: str) -> None:
    model = Quadratic()
    built(name, model).step(closure_of(model))
    assert model.weight.tolist() == pytest.approx(adam(name == "adamw"), rel=0, abs=1e-12)


def test_none_was_forgotten() -> None:
    assert {*BY_HAND, "adam", "adamw"} == set(OPTIMIZER_SPECS)


def test_adamw_decays_as_pytorchs_where_nothing_is_said() -> None:
    model = Quadratic()
    optimizer = build_optimizer(
        TypeAdapter(OptimizerSpec).validate_python({"name": "adamw", "learning_rate": RATE}), model
    )
    assert optimizer.defaults["weight_decay"] == torch.optim.AdamW([torch.zeros(1)]).defaults["weight_decay"]


def by_numpy(name: str, w: np.ndarray, state: dict[str, Any], gradient: np.ndarray) -> np.ndarray:
    """The textbook's updates.

    Nesterov's momentum is that of Sutskever et al. 2013, rewritten for the gradient at w; AdamW is algorithm 2 of
    Loshchilov & Hutter 2019.
    """
    state["t"] = t = state.get("t", 0) + 1
    if name == "sgd":
        gradient = gradient + DECAY * w
        state["v"] = v = MOMENTUM * state.get("v", 0.0) + gradient
        step: np.ndarray = gradient + MOMENTUM * v
        return w - RATE * step
    state["m"] = m = 0.9 * state.get("m", 0.0) + 0.1 * gradient
    state["s"] = s = 0.999 * state.get("s", 0.0) + 0.001 * gradient**2
    scaled: np.ndarray = (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
    return w - RATE * (scaled + DECAY * w)


@pytest.mark.parametrize(("name", "settings"), [("sgd", {"momentum": MOMENTUM, "nesterov": True}), ("adamw", {})])
def test_a_hundred_steps_by_hand(name: str, settings: dict[str, Any]) -> None:
    model = network().double()
    optimizer = built(name, model, **settings)
    state: dict[str, Any] = {}
    weights = torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy().copy()
    for inputs, targets in batches(100):
        optimizer.zero_grad()
        cross_entropy(model(inputs.double()), targets).backward()
        gradient = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).numpy()  # type: ignore[union-attr]
        weights = by_numpy(name, weights, state, gradient)
        optimizer.step()
        now = torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
        np.testing.assert_allclose(now, weights, rtol=0, atol=1e-12)
        weights = now.copy()  # each of the hundred to 1e-12; else chaos, not the optimizer, would be compared

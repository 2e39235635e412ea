"""Random small networks of every awkward kind, and the comparison of every engine on them with dense matrices."""

import random
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.sharpness.hessian import layer_operators
from analysis.sharpness.hessian.engines import ENGINES
from analysis.sharpness.hessian.engines.gauss_newton import GAUSS_NEWTON_FACTOR, GAUSS_NEWTON_GRAM
from analysis.sharpness.hessian.engines.r_operator import R_OPERATOR
from analysis.sharpness.layers import select_parameters, weight_layers
from tests.analysis.sharpness.hessian.networks import gauss_newton, hessian_rows
from tests.analysis.sharpness.hessian.odd_networks import Cosine, StandardizedConv

TOLERANCE = 1e-8  # relative to the dense matrix
ACTIVATIONS: tuple[Callable[[], nn.Module], ...] = (nn.ReLU, nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.GELU, nn.SiLU)


@dataclass(frozen=True)
class Case:
    """A network with its samples."""

    model: nn.Module
    inputs: Tensor
    targets: Tensor
    kind: str


class Sequences(nn.Module):
    """Token by token maps and a recurrent network, batch first or time first, with a head on some state of it."""

    def __init__(self, draw: random.Random, features: int, num_classes: int) -> None:
        super().__init__()
        self.time_first = draw.random() < 0.5
        self.take = draw.choice(("state", "last", "mean"))
        width = draw.choice((2, 3, num_classes))
        self.token = nn.Linear(features, width)
        cell = draw.choice((nn.LSTM, nn.GRU, nn.RNN))
        self.rnn = cell(width, width, batch_first=not self.time_first, bidirectional=draw.random() < 0.3)
        self.both = 2 if self.rnn.bidirectional else 1
        self.fc = nn.Linear(width, num_classes) if self.take == "state" else nn.Linear(width * self.both, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(0, 1) if self.time_first else x
        steps, state = self.rnn(self.token(x).tanh())
        h = state[0] if isinstance(state, tuple) else state  # (directions, N, H)
        out: Tensor
        if self.take == "state":
            out = self.fc(h).sum(0)
        elif self.take == "last":
            out = self.fc(steps[-1] if self.time_first else steps[:, -1])
        else:
            out = self.fc(steps).mean(0 if self.time_first else 1)
        return out


class Mixture(nn.Module):
    """Experts by hard or soft gates, some of which nobody chooses; an auxiliary head that nobody reads."""

    def __init__(self, draw: random.Random, features: int, num_classes: int) -> None:
        super().__init__()
        width = draw.choice((3, 4, 5))
        self.soft, self.boundary = draw.random() < 0.3, draw.choice((-0.5, 0.0, 1.0, 9.0))
        self.first = nn.Linear(features, width)
        self.experts = nn.ModuleList(nn.Linear(width, width, bias=draw.random() < 0.5) for _ in range(3))
        self.gate = nn.Linear(width, 3)
        self.aux, self.out = nn.Linear(width, num_classes), nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x.flatten(1)).relu()
        out: Tensor
        if self.soft:
            weights = self.gate(hidden).softmax(1)
            mixed = torch.stack([expert(hidden) for expert in self.experts], dim=2)
            out = self.out((mixed * weights[:, None]).sum(2).relu())
            return out
        choice = (hidden.detach().sum(1) > self.boundary).long()
        mixed = torch.zeros_like(hidden)
        for number, expert in enumerate(self.experts):
            rows = torch.nonzero(choice == number)[:, 0].flip(0)  # in another order than the samples
            if len(rows):
                mixed = mixed.index_put((rows,), expert(hidden[rows]).relu())
        out = self.out(mixed)
        return out


class Tied(nn.Module):
    """One weight at two places: two modules, a module and a function, or transposed."""

    def __init__(self, draw: random.Random, features: int, num_classes: int) -> None:
        super().__init__()
        self.how = draw.choice(("modules", "function", "transposed"))
        width = features
        self.first = nn.Linear(features, width, bias=draw.random() < 0.5)
        self.second = nn.Linear(width, width)
        if self.how == "modules":
            self.second.weight = self.first.weight
        self.act, self.out = draw.choice(ACTIVATIONS)(), nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        h = self.second(self.act(self.first(x.flatten(1))))
        if self.how == "function":
            h = h + functional.linear(h, self.first.weight)
        elif self.how == "transposed":
            h = self.act(h) @ self.first.weight.t()
        out: Tensor = self.out(self.act(h))
        return out


class Residual(nn.Module):
    """Convolutions and batch-norms with a shortcut, standardized or not; frames folded into the batch or not."""

    def __init__(self, draw: random.Random, channels: int, num_classes: int) -> None:
        super().__init__()
        width = draw.choice((2, 3, 4))
        conv = draw.choice((nn.Conv2d, nn.Conv2d, StandardizedConv))
        self.conv1 = conv(channels, width, 3, padding=1, bias=draw.random() < 0.5)
        self.conv2 = conv(width, width, 3, padding=1, bias=False)
        norm = draw.choice((nn.BatchNorm2d, nn.Identity))
        self.norm1, self.norm2 = norm(width), norm(width)
        self.act = draw.choice(ACTIVATIONS)()
        self.detached = draw.random() < 0.2
        head = draw.choice((nn.Linear, nn.Linear, Cosine))
        self.fc = head(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.norm1(self.conv1(x)))
        if self.detached:
            with torch.no_grad():
                shortcut = self.act(h)
        else:
            shortcut = h
        h = self.act(self.norm2(self.conv2(h)) + shortcut)
        out: Tensor = self.fc(h.mean((2, 3)))
        return out


class Piecewise(nn.Module):
    """A piecewise-linear network that has a tape: strides, dilation, groups, shortcuts, every pooling."""

    def __init__(self, draw: random.Random, channels: int, num_classes: int) -> None:
        super().__init__()
        groups = draw.choice((1, 1, 2))
        width, stride = 2 * draw.choice((1, 2)), draw.choice((1, 1, 2))
        bias, dilation = draw.random() < 0.5, draw.choice((1, 1, 2))
        self.stem = nn.Conv2d(channels, width, draw.choice((1, 3)), padding=1, bias=bias)
        self.conv = nn.Conv2d(width, width, 3, stride, dilation, dilation, groups, bias=not bias)
        self.shortcut = nn.Conv2d(width, width, 1, stride, bias=False) if draw.random() < 0.7 else None
        norm = draw.choice((nn.BatchNorm2d, nn.Identity))
        self.norm1, self.norm2 = norm(width), norm(width)
        self.act = draw.choice((nn.ReLU, nn.ReLU, lambda: nn.LeakyReLU(0.2)))()
        pools = (nn.Identity, lambda: nn.MaxPool2d(2, 1), lambda: nn.MaxPool2d(3, 2, 1), lambda: nn.AvgPool2d(2, 1))
        self.pool = draw.choice(pools)()
        size = draw.choice((1, 2))
        self.head = nn.AdaptiveAvgPool2d(size)
        self.hidden = nn.Linear(width * size**2, 3) if draw.random() < 0.5 else None
        self.fc = nn.Linear(3 if self.hidden else width * size**2, num_classes, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm1(self.stem(x)))
        h = self.norm2(self.conv(x))
        if self.shortcut is not None:
            h = h + self.shortcut(x)
        h = self.head(self.pool(self.act(h))).flatten(1)
        out: Tensor = self.fc(h if self.hidden is None else self.act(self.hidden(h)))
        return out


def perceptron(draw: random.Random, features: int, num_classes: int) -> nn.Module:
    """Linear or cosine layers and activations; some hidden units are dead."""
    width = draw.choice((3, 4, 6))
    kinds = [draw.choice((nn.Linear, nn.Linear, nn.Linear, Cosine)) for _ in range(3)]
    model = nn.Sequential(
        nn.Flatten(),
        kinds[0](features, width),
        draw.choice(ACTIVATIONS)(),
        kinds[1](width, width, bias=draw.random() < 0.5),
        draw.choice(ACTIVATIONS)(),
        kinds[2](width, num_classes, bias=draw.random() < 0.5),
    )
    if draw.random() < 0.3:
        nn.init.constant_(model[1].bias[: draw.randint(1, width)], -1e3)  # type: ignore[index]
    return model


def draw_case(number: int, seed: int) -> Case:
    """Network `number` of a seed, in float64."""
    draw = random.Random(f"{seed}/{number}")
    torch.manual_seed(draw.randrange(2**31))
    num_samples, num_classes, features = draw.randint(1, 8), draw.randint(2, 4), draw.randint(3, 5)
    shape: tuple[int, ...] = (features,)
    kind = draw.choice(("sequences", "mixture", "tied", "residual", "piecewise", "perceptron"))
    if kind == "sequences":
        shape = (draw.choice((2, 3, num_samples)), features)
        model: nn.Module = Sequences(draw, features, num_classes)
    elif kind == "mixture":
        model = Mixture(draw, features, num_classes)
    elif kind == "tied":
        model = Tied(draw, features, num_classes)
    elif kind == "residual":
        shape = (draw.choice((1, 2, 3)), 4, 4)
        model = Residual(draw, shape[0], num_classes)
    elif kind == "piecewise":
        shape = (draw.choice((1, 2)), draw.choice((4, 5)), 5)
        model = Piecewise(draw, shape[0], num_classes)
    else:
        model = perceptron(draw, features, num_classes)
    model = model.double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_mean, -0.3, 0.3)  # type: ignore[arg-type]
    inputs = torch.randn(num_samples, *shape, dtype=torch.float64)
    inputs[torch.rand(num_samples) < draw.choice((0.0, 0.3, 0.9))] = 0.0  # black images
    return Case(model, inputs, torch.randint(0, num_classes, (num_samples,)), kind)


def differences(case: Case) -> tuple[list[str], Counter[str]]:
    """Where an engine differs from double backward written out, products and spectra; and the blocks each served."""
    wrong: list[str] = []
    served: Counter[str] = Counter()
    layers: list[str | None] = [*weight_layers(case.model), None]
    without_tape: set[str] = set()  # engines that refuse a network without a tape: double backward would replace each
    for curvature in ("hessian", "gauss_newton"):
        references = {layer: Reference(case, layer, curvature) for layer in layers}
        for engine in ("auto", *ENGINES):
            if engine in without_tape and (curvature == "hessian" or engine == R_OPERATOR.name):
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                for block in layer_operators(
                    case.model, case.inputs, case.targets, layers, engine, curvature=curvature, spectrum=True
                ):
                    reference = references[block.layer]
                    where = f"{case.kind} {block.layer} {curvature} {engine} ({block.engine})"
                    if not _close(block.matmat(reference.V), reference.products):
                        wrong.append(f"{where}: products")
                    if hasattr(block.operator, "exact_eigenvalues"):  # else they come from products
                        found = block.exact_eigenvalues()
                        padded = torch.cat([found, found.new_zeros(block.dim - len(found))])
                        if not _close(padded.sort().values, reference.eigenvalues):
                            wrong.append(f"{where}: spectrum")
                    served[block.engine] += 1
                    if "no tape" in block.reason:
                        without_tape = {engine.name for engine in (R_OPERATOR, GAUSS_NEWTON_FACTOR, GAUSS_NEWTON_GRAM)}
    return wrong, served


class Reference:
    """Products and eigenvalues of one block by plain double backward, or by the Jacobian; each computed once."""

    def __init__(self, case: Case, layer: str | None, curvature: str) -> None:
        self._case, self._curvature = case, curvature
        self._names = list(select_parameters(case.model, layer))
        dim = sum(case.model.get_parameter(name).numel() for name in self._names)
        self.V = torch.randn(3, dim, generator=torch.Generator().manual_seed(dim), dtype=torch.float64)

    @cached_property
    def products(self) -> Tensor:
        """V H."""
        return self._rows(self.V)

    @cached_property
    def eigenvalues(self) -> Tensor:
        """Smallest first."""
        values: Tensor = torch.linalg.eigvalsh(self._rows(torch.eye(self.V.shape[1]).double()))
        return values

    @cached_property
    def _gauss_newton(self) -> Tensor:
        return gauss_newton(self._case.model, self._case.inputs, self._case.targets, self._names)

    def _rows(self, V: Tensor) -> Tensor:
        if self._curvature == "gauss_newton":
            return V @ self._gauss_newton
        return hessian_rows(self._case.model, self._case.inputs, self._case.targets, self._names, V)


def _close(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).norm() <= TOLERANCE * expected.norm() + 1e-14)

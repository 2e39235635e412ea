"""How well the Rényi entropy of a layer is estimated: errors, intervals and rankings against exact spectra, as tables.

    python benchmarks/estimators.py errors      # error against exact spectra at equal products; about 3 minutes
    python benchmarks/estimators.py coverage    # how often 95 % intervals hold the exact value; about 4 minutes
    python benchmarks/estimators.py ranking     # Kendall's tau with the exact entropies, 36 networks; about 5 minutes

One core. Networks are 64-48-32-10 ReLU perceptrons and a small convolutional network with batch-norm, trained on 1000
of scikit-learn's digits; Hessian blocks are those of 120 training samples, in float64, with exact spectra from Gram
matrices. Products are Hessian-vector products. Errors are root mean squares over seeds, in nats.

Hutch++ and XTrace (curvlinops, from the extra `oracle`) estimate traces of whole powers only: Tr H from half of the
products, Tr H^α from the other half, at α products a vector. Where curvlinops isn't installed they are left out.
"""

import argparse
import itertools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from analysis.sharpness.estimators.deflation import ritz_quadrature
from analysis.sharpness.estimators.slq import Effort, exact_quadrature, paired_quadrature, paper_quadrature
from analysis.sharpness.hessian import block_operator
from analysis.sharpness.hessian.engines.gauss_newton import GAUSS_NEWTON_FACTOR
from analysis.sharpness.linalg import BlockOperator
from analysis.spectrum.quadrature import SpectralQuadrature
from analysis.statistics import kendall_tau
from trainables.models.digits_cnn import DigitsCNN

ORDERS = (0.5, 0.9, 1.2, 1.5, 2.0, 3.0)
NUM_TRAINING, NUM_SAMPLES = 1000, 120
PERCEPTRON_LAYERS = ("0.weight", "2.weight")

Estimator = Callable[[BlockOperator, int], SpectralQuadrature]  # (operator, seed)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """A trained layer's Hessian block and its exact entropies."""

    name: str
    operator: BlockOperator
    exact: Array  # (len(ORDERS),) nats


def paper(products: int) -> Estimator:
    """Algorithm 1 with as many probes of 15 steps as the products allow."""
    return lambda operator, seed: paper_quadrature(operator, Effort(num_probes=products // 16, num_matvecs=15), seed)


def paired(products: int, steps: int = 15) -> Estimator:
    """Plain quadrature whose trace comes from the same probes."""
    effort = Effort(num_probes=products // steps, num_matvecs=steps)
    return lambda operator, seed: paired_quadrature(operator, effort, seed)


def ritz(products: int, steps: int = 15) -> Estimator:
    """Half the products to find eigenvalues, the other half to probe the rest."""
    probes = max(2, round(products / 2 / steps))
    effort = Effort(num_probes=probes, num_matvecs=steps)
    deflation = products - probes * steps
    return lambda operator, seed: ritz_quadrature(operator, effort, seed, deflation)


def errors(num_seeds: int) -> None:
    """Root-mean-square errors of every estimator at the same number of products."""
    methods: dict[str, Estimator] = {"paper, 1600 products": paper(1600)}
    for products in (150, 500):
        methods |= {
            f"paper, {products}": paper(products),
            f"paired, {products}": paired(products),
            f"ritz, {products}": ritz(products),
        }
    for block in trained_blocks():
        table: dict[str, Array] = {name: _rmse(block, method, num_seeds) for name, method in methods.items()}
        table |= {name: _rmse_of_traces(block, *peer, num_seeds) for name, peer in _trace_estimators().items()}
        print(f"\n### {block.name}, n = {block.operator.dim}: RMSE in nats over {num_seeds} seeds\n")
        _print_table("estimator", ORDERS, {name: [_cell(value) for value in row] for name, row in table.items()})
        gain = table["paper, 1600 products"] / table["ritz, 150"]
        print(f"\npaper at 1600 products over ritz at 150: {_join(f'{value:.1f}×' for value in gain)}", flush=True)


def coverage(num_seeds: int) -> None:
    """How often the nominal 95 % interval holds the exact entropy."""
    adaptive = Effort(orders=ORDERS)
    methods: dict[str, Estimator] = {
        "ritz, to 0.02 nats": partial(_adaptive, ritz_quadrature, adaptive),
        "ritz, 150 products": ritz(150),
        "paired, 8 probes of 15": paired(120),
        "paired, 30 probes of 15": paired(450),
    }
    for block in trained_blocks():
        rows: dict[str, Sequence[str]] = {}
        for name, method in methods.items():
            held, spent = np.zeros(len(ORDERS)), 0
            for seed in range(num_seeds):
                quadrature = method(block.operator, seed)
                spent += quadrature.num_products
                for index, order in enumerate(ORDERS):
                    estimate = quadrature.renyi_entropy(order)
                    held[index] += estimate.ci_low <= block.exact[index] <= estimate.ci_high
            rows[f"{name} ({spent / num_seeds:.0f})"] = [f"{value / num_seeds:.0%}" for value in held]
        print(f"\n### {block.name}: intervals that hold the exact value, of {num_seeds}; (mean products)\n")
        _print_table("estimator", ORDERS, rows)


def ranking(num_seeds: int) -> None:
    """Kendall's tau between estimated and exact entropies over 36 networks, with common and with separate probes."""
    networks = [train(perceptron(), *settings) for settings in _grid()]
    methods = {
        "paper, 1600": paper(1600),
        "paired, 150": paired(150),
        "ritz, 100": ritz(100),
        "ritz, 300": ritz(300),
    }
    for layer in PERCEPTRON_LAYERS:
        blocks = [_block(f"network {number}", model, layer) for number, model in enumerate(networks)]
        exact = np.array([block.exact for block in blocks])
        rows: dict[str, Sequence[str]] = {"spread of the exact values, nats": [f"{s:.3f}" for s in exact.std(axis=0)]}
        for name, method in methods.items():
            for probes, stride in (("common probes", 0), ("own probes", 1000)):
                taus = np.mean([_taus(blocks, exact, method, seed, stride) for seed in range(num_seeds)], axis=0)
                rows[f"{name}, {probes}"] = [f"{tau:.3f}" for tau in taus]
        print(f"\n### {layer}, n = {blocks[0].operator.dim}: mean τ over {num_seeds} seeds, {len(blocks)} networks\n")
        _print_table("estimator, products", ORDERS, rows)


def _taus(blocks: Sequence[Block], exact: Array, method: Estimator, seed: int, stride: int) -> list[float]:
    estimated = []
    for number, block in enumerate(blocks):
        quadrature = method(block.operator, seed + stride * number)
        estimated.append([quadrature.renyi_entropy(order).value for order in ORDERS])
    columns = zip(np.array(estimated).T, exact.T, strict=True)
    return [kendall_tau(column, truth).tau_b for column, truth in columns]


def _adaptive(
    estimate: Callable[[BlockOperator, Effort, int], SpectralQuadrature],
    effort: Effort,
    operator: BlockOperator,
    seed: int,
) -> SpectralQuadrature:
    return estimate(operator, effort, seed)


def _rmse(block: Block, method: Estimator, num_seeds: int) -> Array:
    squares = np.zeros(len(ORDERS))
    for seed in range(num_seeds):
        quadrature = method(block.operator, seed)
        values = np.array([quadrature.renyi_entropy(order).value for order in ORDERS])
        squares += (values - block.exact) ** 2
    return np.sqrt(squares / num_seeds)


# Peers


def _trace_estimators() -> dict[str, tuple[Callable[[Tensor, int], Tensor], int, int]]:
    """Peers by name: the estimator of a matrix's trace, the products, and what their number must be a multiple of."""
    try:
        from curvlinops import hutchpp_trace, xtrace  # type: ignore[import-not-found]
    except ImportError as error:
        print(f"(Hutch++ and XTrace left out: {error})")
        return {}
    peers = {"Hutch++": (hutchpp_trace, 3), "XTrace": (xtrace, 2)}
    return {
        f"{name}, {products}": (estimate, products, unit)
        for products in (150, 500)
        for name, (estimate, unit) in peers.items()
    }


def _rmse_of_traces(
    block: Block, estimate: Callable[[Tensor, int], Tensor], products: int, unit: int, num_seeds: int
) -> Array:
    H = block.operator.matmat(torch.eye(block.operator.dim, dtype=block.operator.dtype))
    result = np.full(len(ORDERS), math.nan)
    for index, order in enumerate(ORDERS):
        if not (order.is_integer() and order > 1):
            continue
        power = torch.linalg.matrix_power(H, int(order))
        budget, budget_of_power = (int(products / 2 / cost) // unit * unit for cost in (1, order))
        errors = []
        for seed in range(num_seeds):
            torch.manual_seed(seed)
            trace, moment = estimate(H, budget).item(), estimate(power, budget_of_power).item()
            errors.append(math.log(moment / trace**order) / (1 - order) - block.exact[index])
        result[index] = math.sqrt(np.mean(np.square(errors)))
    return result


# Networks


def digits(model: nn.Module) -> tuple[Tensor, Tensor]:
    """The training samples, shuffled once for all, in the shape that the network takes."""
    pixels, labels = load_digits(return_X_y=True)
    shuffled = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))[:NUM_TRAINING]
    inputs = torch.as_tensor(pixels / 16)[shuffled]
    return inputs.view(-1, 1, 8, 8) if isinstance(model, DigitsCNN) else inputs, torch.as_tensor(labels)[shuffled]


def perceptron() -> nn.Module:
    """64-48-32-10; the same initial weights every time."""
    torch.manual_seed(0)
    layers = [nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10)]
    return nn.Sequential(*layers).double()


def convolutional() -> nn.Module:
    """The demo's network with batch-norm, whose spectra decay slowest."""
    torch.manual_seed(0)
    return DigitsCNN(batch_norm=True).double()


def _grid() -> Iterable[tuple[str, float, int, float]]:
    rates = {"sgd": (0.02, 0.05, 0.1), "adam": (1e-3, 2e-3, 4e-3)}
    for optimizer in rates:
        yield from itertools.product([optimizer], rates[optimizer], (16, 64), (0.0, 1e-4, 1e-3))


def train(model: nn.Module, optimizer: str, learning_rate: float, batch_size: int, weight_decay: float) -> nn.Module:
    """20 epochs, in the same order of samples every time."""
    inputs, targets = digits(model)
    model.train()
    rule: torch.optim.Optimizer
    if optimizer == "sgd":
        rule = torch.optim.SGD(model.parameters(), learning_rate, momentum=0.9, weight_decay=weight_decay)
    else:
        rule = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=weight_decay)
    order = torch.Generator().manual_seed(1)
    for _ in range(20):
        for batch in torch.randperm(len(inputs), generator=order).split(batch_size):
            rule.zero_grad()
            cross_entropy(model(inputs[batch]), targets[batch]).backward()
            rule.step()
    return model.eval()


def trained_blocks() -> Iterable[Block]:
    """Four layers of three networks; nothing of the estimators was chosen by the last of them."""
    model = train(perceptron(), "sgd", 0.05, 32, 1e-4)
    for layer in PERCEPTRON_LAYERS:
        yield _block(f"perceptron {layer}", model, layer)
    yield _block("convolutional", train(convolutional(), "adam", 2e-3, 32, 1e-4), "features.6.weight")
    yield _block("convolutional, SGD", train(convolutional(), "sgd", 0.05, 16, 0.0), "features.3.weight")


def _block(name: str, model: nn.Module, layer: str) -> Block:
    inputs, targets = digits(model)
    operator = block_operator(model, inputs[:NUM_SAMPLES], targets[:NUM_SAMPLES], layer, GAUSS_NEWTON_FACTOR.name)
    spectrum = exact_quadrature(operator)
    return Block(name, operator, np.array([spectrum.renyi_entropy(order).value for order in ORDERS]))


# Tables


def _print_table(head: str, columns: Iterable[float], rows: dict[str, Sequence[str]]) -> None:
    names = [f"α = {column:g}" for column in columns]
    print(f"| {head} | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}")
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |")


def _cell(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.5f}"


def _join(cells: Iterable[str]) -> str:
    return " / ".join(cells)


def main() -> None:
    """Run one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tables = {"errors": (errors, 20), "coverage": (coverage, 100), "ranking": (ranking, 1)}
    parser.add_argument("table", nargs="?", choices=[*tables, "all"], default="all")
    parser.add_argument("--seeds", type=int, help="seeds to average over")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name, (run, num_seeds) in tables.items():
        if arguments.table in (name, "all"):
            started = time.perf_counter()
            run(arguments.seeds or num_seeds)
            print(f"\n({name}: {time.perf_counter() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()

"""What losses of every kind cost, against double backward written by hand, on networks with one output and with many.

    python benchmarks/losses.py        # under a minute on one core

One thread; processor seconds; the methods take turns, and figures are medians over rounds. By hand: the gradient is
built once with `create_graph=True`, and a product is `torch.autograd.grad(gradient, weights, v)`. Set-up is not
counted, samples and weights are random, and products are compared before they are timed.

The spectra of the last table are those of every layer's Gauss–Newton block: exact, from factors; by hand, from as many
backward passes as the logits have entries, one row of each layer's Jacobian a pass, and the Gram matrices of all.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from analysis.sharpness.hessian import block_operator, layer_operators
from analysis.sharpness.layers import weight_layers
from analysis.sharpness.loss import CrossEntropy, LossLike
from tests.analysis.sharpness.hessian.language_model import LanguageModel, text
from trainables.models.resnet import resnet20

Product = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]  # of outputs and targets


def by_hand(model: nn.Module, inputs: object, targets: Tensor, layer: str | None, loss: Loss) -> Product:
    """Double backward on the weights of a block alone."""
    weights = [p.requires_grad_(layer in (None, name)) for name, p in model.named_parameters() if layer in (None, name)]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(layer in (None, name))
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        outputs = model(**inputs)["logits"] if isinstance(inputs, dict) else model(inputs)
        gradient = torch.autograd.grad(loss(outputs, targets), weights, create_graph=True)
    model.requires_grad_(True)
    sizes = [p.numel() for p in weights]

    def product(v: Tensor) -> Tensor:
        pieces = [piece.view_as(p) for piece, p in zip(v.split(sizes), weights, strict=True)]
        return torch.cat([g.flatten() for g in torch.autograd.grad(gradient, weights, pieces, retain_graph=True)])

    return product


def seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def compare(name: str, ours: Product, theirs: Product, dim: int, rounds: int) -> None:
    """Print the median time of a product of each, in turn, and their ratio."""
    v = torch.randn(dim, generator=torch.Generator().manual_seed(0))
    error = ((ours(v) - theirs(v)).norm() / theirs(v).norm()).item()
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    methods = [("ours", ours), ("theirs", theirs)]
    for _ in range(rounds):
        for method, product in methods:
            times[method].append(seconds(lambda product=product: product(v)))  # type: ignore[misc]
        methods.reverse()
    mine, hand = statistics.median(times["ours"]), statistics.median(times["theirs"])
    print(f"{name:58}{1e3 * mine:9.1f} ms{1e3 * hand:12.1f} ms{mine / hand:8.2f}   {error:.0e}", flush=True)


def focal(outputs: Tensor, targets: Tensor) -> Tensor:
    """A loss that is none of ours: the focal loss."""
    each = functional.cross_entropy(outputs, targets, reduction="none")
    return ((1 - (-each).exp()) ** 2 * each).mean()


def smoothed(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets, label_smoothing=0.1)


def products(rounds: int) -> None:
    torch.manual_seed(0)
    model, x, y = resnet20().eval(), torch.randn(50, 3, 32, 32), torch.randint(0, 10, (50,))
    head = f"{'a Hessian product':58}{'ours':>12}{'by hand':>15}{'ratio':>8}   difference"
    print(f"ResNet-20, N = 50\n{head}")
    for layer in ("layer2.1.conv1.weight", None):
        cases: tuple[tuple[str, LossLike, Loss], ...] = (
            ("a function (focal loss)", focal, focal),
            ("label smoothing", CrossEntropy(label_smoothing=0.1), smoothed),
        )
        for name, loss, hand in cases:
            block = block_operator(model, x, y, layer, loss=loss)
            label = f"{name}, {layer or 'all layers'}, {block.engine}"
            compare(label, lambda v: block.matmat(v[None])[0], by_hand(model, x, y, layer, hand), block.dim, rounds)  # noqa: B023
    language, (inputs, targets) = LanguageModel().eval(), text(32)
    print(f"\nGPT-2 of two layers, width 64, (32, 6, 20) logits\n{head}")
    for layer in ("layers.0.qkv.weight", "head.weight", None):
        block = block_operator(language, inputs, targets, layer)
        theirs = by_hand(language, inputs, targets, layer, tokens)
        label = f"{layer or 'all layers'}, {block.engine}"
        compare(label, lambda v: block.matmat(v[None])[0], theirs, block.dim, rounds)  # noqa: B023


def tokens(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())


def spectra(rounds: int) -> None:
    model, (inputs, targets) = LanguageModel().eval(), text(4)
    layers = weight_layers(model)

    def ours() -> list[Tensor]:
        blocks = layer_operators(model, inputs, targets, engine="gauss_newton_gram", curvature="gauss_newton")
        return [block.exact_eigenvalues() for block in blocks]

    def hand() -> list[Tensor]:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            logits = model(**inputs)["logits"]
        S = torch.autograd.functional.hessian(lambda f: tokens(f, targets), logits.detach())
        values, vectors = torch.linalg.eigh(S.reshape(logits.numel(), -1))
        roots = (vectors * values.clamp_min(0).sqrt()).T[values > 1e-6 * values[-1]]
        weights = [model.get_parameter(name) for name in layers]
        rows = [torch.autograd.grad(logits, weights, root.view_as(logits), retain_graph=True) for root in roots]
        factors = [torch.stack([row[index].flatten() for row in rows]) for index in range(len(layers))]
        return [torch.linalg.eigvalsh(G @ G.T) for G in factors]

    times: dict[str, list[float]] = {"ours": [], "by hand": []}
    for _ in range(rounds):
        times["ours"].append(seconds(ours))
        times["by hand"].append(seconds(hand))
    mine, theirs = (statistics.median(found) for found in times.values())
    print("\nexact Gauss–Newton spectra of all layers, GPT-2 of two layers, (4, 6, 20) logits")
    print(f"ours {mine:.2f} s, by hand {theirs:.2f} s: {theirs / mine:.1f} times")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="turns over which medians are taken")
    torch.set_num_threads(1)
    chosen = parser.parse_args()
    products(chosen.rounds)
    spectra(chosen.rounds)

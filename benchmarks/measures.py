"""What each measure costs, and how the measures compare with published implementations, as tables.

    python benchmarks/measures.py peers            # values and times beside other packages; some seconds
    python benchmarks/measures.py costs            # all but the spectral measures of a ResNet-20; about 5 minutes
    python benchmarks/measures.py costs --small    # the same with one radius a measure, and 20 draws; about 1 minute
    python benchmarks/measures.py costs --spectral # those read off spectra too

One core. The arithmetic minimum is the forward passes and the gradients that a definition asks for, each at the time
that plain torch takes for it in batches of 128, measured just before and after; a forward-mode derivative counts as
three forward passes. Spectral measures have no minimum here: their engines have a benchmark of their own.

The peer is the package pytorch-optimizer of the extra `dev`, left out where it isn't installed.
"""

import argparse
import importlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from analysis.measures import MEASURES
from analysis.settings import SharpnessSettings
from analysis.sharpness import loss_landscape, weight_layers
from analysis.sharpness.measure import measure_function
from analysis.sharpness.measures.fisher_rao import fisher_rao_norm
from analysis.sharpness.measures.one_step import Ball, one_step_sharpness
from analysis.sharpness.subject import Subject
from trainables.models import build_model

ONE_STEP = ("sam", "asam", "sam_linf", "asam_linf")
SPECTRAL = (*(key for key, record in MEASURES.items() if record.spectra), "trace_imbalance")
REPEATS = 3


@dataclass
class Passes:
    """Forward passes of a network, counted in whole sets of samples."""

    forward: float = 0.0


def trained(name: str, num_samples: int) -> tuple[nn.Module, dict[str, Tensor], Tensor, Tensor]:
    """A network after some epochs on enlarged digits, its initial weights, and samples to measure on."""
    torch.manual_seed(0)
    digits = load_digits()
    targets = torch.as_tensor(digits.target)
    images = torch.as_tensor(digits.images, dtype=torch.float32)[:, None] / 16
    size, channels = (32, 3) if name.startswith("resnet") else (8, 1)
    inputs = interpolate(images, size=size).expand(-1, channels, -1, -1).contiguous()
    model = build_model(name, 10, channels)
    initial = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for _ in range(2 if size == 32 else 20):
        for batch in torch.randperm(600).split(50):
            optimizer.zero_grad()
            cross_entropy(model(inputs[batch]), targets[batch]).backward()
            optimizer.step()
    return model.eval(), initial, inputs[:num_samples], targets[:num_samples]


def pass_seconds(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """(2,) median time of a plain forward pass without gradients, and of a gradient."""

    def forward() -> None:
        with torch.no_grad():
            for batch in inputs.split(128):
                model(batch)

    def gradient() -> None:
        for batch, labels in zip(inputs.split(128), targets.split(128), strict=True):
            torch.autograd.grad(cross_entropy(model(batch), labels), list(model.parameters()))

    return torch.tensor([median_seconds(forward), median_seconds(gradient)])


def median_seconds(run: Callable[[], object]) -> float:
    """Median time of three calls, after one to warm up."""
    run()
    seconds = []
    for _ in range(REPEATS):
        started = time.process_time()
        run()
        seconds.append(time.process_time() - started)
    return statistics.median(seconds)


def minimum(measure: str, subject: Subject, counted: float) -> tuple[float, float]:
    """Forward passes and gradients that a measure's definition asks for; PAC-Bayes searches are taken as they went."""
    settings, blocks = subject.settings, len(subject.blocks(measure))
    if measure == "fisher_rao":
        return 3 * blocks, 0
    if measure in ONE_STEP:  # the first of them works for all
        first = measure == ONE_STEP[0]
        return first * sum(blocks * len(settings.worst_case.rhos(name)) for name in ONE_STEP), first
    if measure.endswith("_n"):
        ascents = blocks * len(settings.worst_case.rhos(measure))
        return ascents, ascents * settings.worst_case.num_steps
    if MEASURES[measure].section == "average":
        return blocks * len(settings.average.sigmas) * settings.average.num_draws, 0
    if measure == "haar_loss":
        return len(settings.haar.rhos) * settings.haar.num_draws, 0
    return counted, 0


def costs(name: str, num_samples: int, small: bool, spectral: bool) -> None:
    """Time and passes of every measure of one network."""
    model, initial, inputs, targets = trained(name, num_samples)
    options = {
        "worst_case": {"sam": [0.05], "asam": [0.5], "sam_linf": [0.001], "asam_linf": [0.002]},
        "average": {"sigmas": [0.1], "num_draws": 20},
        "haar": {"num_draws": 20},
    }
    measures = tuple(measure for measure in MEASURES if spectral or measure not in SPECTRAL)
    settings = SharpnessSettings(measures=measures, samples=num_samples, **(options if small else {}))  # type: ignore[arg-type]
    passes = Passes()

    def count(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        passes.forward += len(given[0]) / num_samples  # a function, so that folded copies of the network count here too

    subject = Subject(model, inputs, targets, settings, initial)
    columns = ("rows", "missing", "seconds", "forwards", "gradients", "minimum", "ratio")
    print(f"{name}, {num_samples} samples, {len(weight_layers(model))} layers")
    print(f"{'measure':>20}" + "".join(f"{column:>12}" for column in columns))
    total, least, before = 0.0, 0.0, pass_seconds(model, inputs, targets)
    for measure in settings.measures:
        passes.forward = 0.0
        # With a hook on it a network has no tape, and its spectra would be computed by double backward.
        handle = None if measure in SPECTRAL else model.register_forward_hook(count)
        started = time.process_time()
        result = measure_function(measure)(subject)
        seconds = time.process_time() - started
        if handle is not None:
            handle.remove()
        after = pass_seconds(model, inputs, targets)
        forwards, gradients = (0.0, 0.0) if measure in SPECTRAL else minimum(measure, subject, passes.forward)
        needed = float((before + after) @ torch.tensor([forwards, gradients], dtype=before.dtype)) / 2
        before = after
        missing = sum(row.value is None for row in result)
        ratio = f"{seconds / needed:12.2f}" if needed else ""
        print(f"{measure:>20}{len(result):12d}{missing:12d}{seconds:12.3f}{forwards:12.0f}{gradients:12.0f}", end="")
        print(f"{needed:12.3f}{ratio}", flush=True)
        if measure not in SPECTRAL:
            total, least = total + seconds, least + needed
    print(f"all but the spectral: {total:.1f} s, minimum {least:.1f} s, ratio {total / least:.2f}")


def peers() -> None:
    """SAM and ASAM sharpness by other packages' first step; Fisher–Rao by a gradient for each sample."""
    model, _, inputs, targets = trained("digits_cnn", 200)
    landscape = loss_landscape(model, inputs, targets)
    print(f"{'quantity':>12} {'by':>28} {'value':>12} {'ms':>9} {'ratio':>6}")
    for adaptive, rho in ((False, 0.05), (True, 0.5)):
        quantity = "asam" if adaptive else "sam"

        def ours(ball: Ball = Ball("l2", adaptive), rho: float = rho) -> float:  # noqa: B008 - one ball a loop
            return one_step_sharpness(landscape, ball, [rho], batch_size=len(inputs))[rho]

        reference = show(quantity, "this package", ours, None)
        try:
            optimizer_class = importlib.import_module("pytorch_optimizer").SAM
        except ImportError:
            continue

        def theirs(cls: type = optimizer_class, rho: float = rho, adaptive: bool = adaptive) -> float:
            optimizer = cls(model.parameters(), torch.optim.SGD, rho=rho, adaptive=adaptive, lr=0.1)
            optimizer.zero_grad()
            before = cross_entropy(model(inputs), targets)
            before.backward()
            originals = [parameter.detach().clone() for parameter in model.parameters()]
            optimizer.first_step(zero_grad=True)
            with torch.no_grad():
                after = cross_entropy(model(inputs), targets)
                for parameter, original in zip(model.parameters(), originals, strict=True):
                    parameter.copy_(original)
            return (after - before).item()

        show(quantity, "pytorch-optimizer", theirs, reference)
    reference = show("fisher_rao", "this package", lambda: fisher_rao_norm(landscape), None)

    def loss(parameters: dict[str, Tensor], image: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(torch.func.functional_call(model, parameters, image[None]), target[None])

    def by_sample() -> float:
        w = {name: parameter.detach() for name, parameter in model.named_parameters()}
        gradients = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(w, inputs, targets)
        slopes = sum((gradients[name] * w[name]).flatten(1).sum(1) for name in w)
        return float(slopes.square().mean().sqrt())

    show("fisher_rao", "torch.func, sample by sample", by_sample, reference)


def show(quantity: str, by: str, run: Callable[[], float], reference: float | None) -> float:
    """One row; the ratio is of times, to the reference's."""
    value, seconds = run(), median_seconds(run)
    ratio = "" if reference is None else f"{seconds / reference:6.2f}"
    print(f"{quantity:>12} {by:>28} {value:12.7f} {1e3 * seconds:9.2f} {ratio:>6}")
    return seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=("costs", "peers"), nargs="?", default="peers")
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--spectral", action="store_true", help="the measures read off spectra too")
    parser.add_argument("--small", action="store_true", help="one radius a measure, and 20 draws")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.table == "peers":
        peers()
    else:
        costs(arguments.model, arguments.samples, arguments.small, arguments.spectral)

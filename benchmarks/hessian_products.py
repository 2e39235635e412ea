"""What Hessian products cost, against PyHessian, curvlinops and hessian-eigenthings: tables, with ratios.

    python benchmarks/hessian_products.py products        # one product, three networks; 4 to 9 minutes on one core
    python benchmarks/hessian_products.py job             # every layer and all layers of ResNet-20; 4 to 9 minutes
    python benchmarks/hessian_products.py memory          # peak and growth of memory, from outside; 3 to 9 minutes

One thread; processor seconds, so that a busy machine disturbs little; methods take turns, and figures are medians over
rounds. The unit is F, an evaluation forward pass of the whole network on the same samples without gradients. In this
process it is cheaper than usual: ours makes the C library keep the memory of freed activations, which speeds up
every method here. Ours is printed in two other units too: F in fresh processes that run the network and nothing else,
and F in turn with PyHessian's products, in processes without ours. Products are compared in float64 before anything is
timed. Weights and samples are random.

In `job`, ours runs in full: self-checks, factor passes, 10 probes of 15 Lanczos steps with reorthogonalization. Of a
peer's job only the set-up and one product a layer are timed, the product counted 150 times: its Lanczos is not counted.

Peers come from the extra `oracle`; one that isn't installed is left out, with a line that says so. PyHessian's
released version raises on a modern torch in `density`, but its products are those of the repository's version: either
may be used here, called as its documentation says, with the weights outside the block frozen.
"""

import argparse
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from analysis.sharpness.estimators.lanczos import Lanczos
from analysis.sharpness.hessian import block_operator, layer_operators
from analysis.sharpness.hessian.engines.double_backward import DOUBLE_BACKWARD
from analysis.sharpness.hessian.engines.engine import Engine
from analysis.sharpness.hessian.engines.gauss_newton import GAUSS_NEWTON_FACTOR, GAUSS_NEWTON_GRAM
from analysis.sharpness.hessian.engines.r_operator import R_OPERATOR
from analysis.sharpness.layers import weight_layers
from trainables.models.resnet import resnet18, resnet20
from trainables.models.simple_vit import SimpleViT

Product = Callable[[Tensor], Tensor]  # (n,) → (n,)
NUM_PROBES, NUM_MATVECS = 10, 15
SHORTEST = 0.05  # seconds that are timed at once: shorter products are repeated within their turn

NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "ResNet-20": (resnet20, 100),
    "ResNet-18": (resnet18, 20),
    "SimpleViT (width 128)": (
        lambda: SimpleViT(10, width=128, depth=6, heads=4, head_width=32, mlp_width=256),
        32,
    ),
}


@contextmanager
def frozen_but(model: nn.Module, layer: str | None) -> Iterator[list[nn.Parameter]]:
    """Only the block's parameters ask for gradients, which is how a peer learns the block."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(layer in (None, name))
    yield [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.requires_grad_(True)


def ours(model: nn.Module, x: Tensor, y: Tensor, layer: str | None, engine: Engine = R_OPERATOR) -> Product:
    operator = block_operator(model, x, y, layer, engine.name)
    return lambda v: operator.matmat(v[None])[0]


def double_backward(model: nn.Module, x: Tensor, y: Tensor, layer: str | None) -> Product:
    return ours(model, x, y, layer, DOUBLE_BACKWARD)


def pyhessian(model: nn.Module, x: Tensor, y: Tensor, layer: str | None) -> Product:
    from pyhessian import hessian  # type: ignore[import-not-found]
    from pyhessian.utils import hessian_vector_product  # type: ignore[import-not-found]

    with frozen_but(model, layer) as parameters:
        state = hessian(model, cross_entropy, data=(x, y), cuda=False)
    sizes = [parameter.numel() for parameter in parameters]
    model.zero_grad()

    def product(v: Tensor) -> Tensor:
        pieces = [p.view_as(w) for p, w in zip(torch.split(v, sizes), state.params, strict=True)]
        return torch.cat([h.flatten() for h in hessian_vector_product(state.gradsH, state.params, pieces)])

    return product


def eigenthings(model: nn.Module, x: Tensor, y: Tensor, layer: str | None) -> Product:
    from hessian_eigenthings import HessianOperator  # type: ignore[import-not-found]

    def loss(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return cross_entropy(network(batch[0]), batch[1])

    keep = None if layer is None else lambda name, _: name == layer
    matvec: Product = HessianOperator(model, [(x, y)], loss, param_filter=keep).matvec
    return matvec


def curvlinops(model: nn.Module, x: Tensor, y: Tensor, layer: str | None) -> Product:
    from curvlinops import HessianLinearOperator  # type: ignore[import-not-found]

    parameters = [p for name, p in model.named_parameters() if layer in (None, name)]
    operator = HessianLinearOperator(
        model, nn.CrossEntropyLoss(), parameters, [(x, y)], check_deterministic=False, progressbar=False
    )
    return lambda v: operator @ v


PEERS = {"PyHessian": pyhessian, "hessian-eigenthings": eigenthings, "curvlinops": curvlinops}


def installed() -> dict[str, Callable[..., Product]]:
    modules = {"PyHessian": "pyhessian", "hessian-eigenthings": "hessian_eigenthings", "curvlinops": "curvlinops"}
    there = {}
    for name, peer in PEERS.items():
        try:
            __import__(modules[name])
            there[name] = peer
        except ImportError as error:
            print(f"{name} is left out: {error}")
    return there


def seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def repeat(product: Product, v: Tensor, count: int) -> None:
    for _ in range(count):
        product(v)


def forward(model: nn.Module, x: Tensor) -> float:
    with torch.no_grad():
        return seconds(lambda: model(x))


def other_units(network: str, peers: dict[str, Callable[..., Product]]) -> dict[str, float]:
    """Seconds of a forward pass in other processes, where ours does not run; medians of five."""
    processes = {"fresh": "forward"} | ({"with PyHessian": "beside"} if "PyHessian" in peers else {})
    return {
        name: statistics.median(float(spawn([what, network])[0]) for _ in range(5)) for name, what in processes.items()
    }


def in_other_units(cost: float, units: dict[str, float]) -> str:
    return ", ".join(f"{cost / F:.2f} ({name}, {1e3 * F:.0f} ms)" for name, F in units.items())


def prepare(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    make, num_samples = NETWORKS[name]
    return make().eval(), torch.randn(num_samples, 3, 32, 32), torch.randint(0, 10, (num_samples,))


def convolutions(model: nn.Module, x: Tensor) -> float:
    """Seconds of the network's convolutions and linear maps alone, each on its input: what a pass can't avoid."""
    total = 0.0

    def time_alone(module: nn.Module, args: tuple[Tensor, ...], result: Tensor) -> None:
        nonlocal total
        forward = type(module).forward
        total += seconds(partial(forward, module, args[0]))

    chosen = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    handles = [module.register_forward_hook(time_alone) for module in chosen]
    forward(model, x)
    for handle in handles:
        handle.remove()
    return total


def dimension(model: nn.Module, layer: str | None) -> int:
    return sum(p.numel() for name, p in model.named_parameters() if layer in (None, name))


def agreement(
    model: nn.Module, x: Tensor, y: Tensor, layer: str | None, peers: dict[str, Callable[..., Product]]
) -> str:
    """Largest relative difference from our double backward, in float64, on two samples."""
    x, y = x[:2].double(), y[:2]
    model.double()
    v = torch.randn(dimension(model, layer), dtype=torch.float64)
    reference = double_backward(model, x, y, layer)(v)
    texts = []
    for name, make in {"ours": ours, **peers}.items():
        error = (make(model, x, y, layer)(v) - reference).norm() / reference.norm()
        texts.append(f"{name} {error:.0e}")
    model.float()
    return ", ".join(texts)


def products(rounds: int) -> None:
    peers = installed()
    for network in NETWORKS:
        model, x, y = prepare(network)
        layers = weight_layers(model)
        convolutional = network.startswith("ResNet")
        chosen = {"first": layers[0], "middle": layers[len(layers) // 2], "last but the head": layers[-2], "all": None}
        units = other_units(network, peers)
        methods: dict[str, Callable[..., Product]] = {DOUBLE_BACKWARD.name: double_backward, **peers}
        if convolutional:
            methods = {R_OPERATOR.name: ours, **methods}
        print(f"\n{network}, N = {len(x)}: cost of a product in F (and over double backward's)")
        print(f"{'block':18}" + "".join(f"{method:>26}" for method in methods))
        for label, layer in chosen.items():
            checked = agreement(model, x, y, layer, peers)
            v = torch.randn(dimension(model, layer))
            costs: dict[str, list[float]] = {method: [] for method in methods}
            unit = []
            made = {method: make(model, x, y, layer) for method, make in methods.items()}
            repeats = {}
            for method, product in made.items():
                product(v)
                repeats[method] = math.ceil(SHORTEST / seconds(partial(product, v)))
            turns = list(made.items())
            for _ in range(rounds):
                unit.append(forward(model, x))
                for method, product in turns:
                    count = repeats[method]
                    costs[method].append(seconds(partial(repeat, product, v, count)) / count)
                turns = [*turns[1:], turns[0]]  # so that the caches do not always help the same one
            F = statistics.median(unit)
            alone = statistics.median(convolutions(model, x) for _ in range(rounds))
            base = statistics.median(costs[DOUBLE_BACKWARD.name])
            cells = [statistics.median(cost) for cost in costs.values()]
            print(f"{label:18}" + "".join(f"{cell / F:16.2f} ({cell / base:4.2f}×)  " for cell in cells), flush=True)
            print(f"{'':18}agreement in float64: {checked}")
            print(
                f"{'':18}F = {1e3 * F:.0f} ms, its convolutions {alone / F:.2f} F; ours in other processes' F: "
                f"{in_other_units(cells[0], units)}"
            )


def run_layers(model: nn.Module, x: Tensor, y: Tensor, memory_budget: int = 4 * 2**30) -> None:
    for block in layer_operators(model, x, y, memory_budget=memory_budget):
        Lanczos(block, torch.randn(NUM_PROBES, block.dim)).advance(NUM_MATVECS)


def run_all(model: nn.Module, x: Tensor, y: Tensor, memory_budget: int = 4 * 2**30) -> None:
    block = block_operator(model, x, y, None, memory_budget=memory_budget)
    Lanczos(block, torch.randn(NUM_PROBES, block.dim)).advance(NUM_MATVECS)


def run_exact(model: nn.Module, x: Tensor, y: Tensor) -> None:
    for block in layer_operators(model, x, y, engine=GAUSS_NEWTON_FACTOR.name):
        if block.layer is not None:
            block.exact_eigenvalues()


def run_gauss_newton(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Exact spectra of every layer and of the Gauss–Newton matrix of all layers."""
    names = [*weight_layers(model), None]
    for block in layer_operators(model, x, y, names, GAUSS_NEWTON_GRAM.name, curvature="gauss_newton"):
        block.exact_eigenvalues()


def job(rounds: int) -> None:
    peers = installed()
    model, x, y = prepare("ResNet-20")
    layers = weight_layers(model)
    forward(model, x)
    unit = [forward(model, x) for _ in range(5)]
    own: dict[str, list[float]] = {"layers": [], "all layers": [], "exact spectra": [], "with Gauss–Newton": []}
    runs = dict(zip(own, (run_layers, run_all, run_exact, run_gauss_newton), strict=True))
    for _ in range(rounds):
        for name, run in runs.items():
            if name != "all layers" or not own[name]:
                own[name].append(seconds(partial(run, model, x, y)))
            unit += [forward(model, x) for _ in range(3)]
    totals: dict[str, tuple[float, float]] = {}
    for name, make in peers.items():
        parts = []
        for layer in [*layers, None]:
            v = torch.randn(dimension(model, layer))
            start = time.process_time()
            product = make(model, x, y, layer)
            setup = time.process_time() - start
            product(v)
            cost = statistics.median(seconds(partial(product, v)) for _ in range(rounds))
            parts.append(setup + NUM_PROBES * NUM_MATVECS * cost)
            unit.append(forward(model, x))
            del product
        totals[name] = (sum(parts[:-1]), parts[-1])
    F = statistics.median(unit)
    took = {name: statistics.median(values) for name, values in own.items()}
    print(f"\nResNet-20, N = {len(x)}, {NUM_PROBES} probes of {NUM_MATVECS} steps; F = {1e3 * F:.1f} ms; costs in F")
    print("ours: " + ", ".join(f"{name} {value / F:.1f}" for name, value in took.items()))
    units = other_units("ResNet-20", peers)
    for name, value in took.items():
        print(f"  {name} in other processes' F: {in_other_units(value, units)}")
    for name, (separate, together) in totals.items():
        whole, everything = took["layers"], took["layers"] + took["all layers"]
        print(
            f"{name:20} layers {separate / F:6.0f} ({separate / whole:5.1f}×)   all layers {together / F:5.0f} "
            f"({together / took['all layers']:4.1f}×)   layers and all {(separate + together) / everything:5.1f}×   "
            f"layers and all-layer Gauss–Newton {(separate + together) / took['with Gauss–Newton']:5.1f}×"
        )


BUDGETS = {"budget": 2**30, "roomy": 8 * 2**30}


def many() -> tuple[Tensor, Tensor]:
    """500 samples."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(500, 3, 32, 32, generator=generator), torch.randint(0, 10, (500,), generator=generator)


def _fingerprint(products: Tensor) -> str:
    return f"{products.double().norm():.9e} {products.double().sum():.9e}"


def spawn(arguments: list[str]) -> list[str]:
    """What a fresh process says about a job."""
    command = [sys.executable, __file__, "child", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def peak(arguments: list[str]) -> float:
    """MiB resident at the peak of a fresh process."""
    return float(spawn(arguments)[-1])


def child(what: str, argument: str = "1") -> None:
    """One job in this process, then the peak of its resident memory in MiB."""
    model, x, y = prepare(argument if what in ("forward", "beside") else "ResNet-20")
    if what == "forward":
        print(statistics.median([forward(model, x) for _ in range(18)][3:]))
    elif what == "beside":
        product, v, unit = pyhessian(model, x, y, None), torch.randn(dimension(model, None)), []
        for _ in range(9):
            product(v)
            unit.append(forward(model, x))
        print(statistics.median(unit[2:]))
    elif what == "ours":
        run_layers(model, x, y)
        run_all(model, x, y)
    elif what == "layers":
        run_layers(model, x, y)
    elif what in ("budget", "roomy"):
        for block in layer_operators(model, *many(), [*weight_layers(model), None], memory_budget=BUDGETS[what]):
            print(block.layer, block.engine, _fingerprint(block.matmat(torch.ones(2, block.dim))))
    elif what == "repeated":
        for _ in range(int(argument)):
            for block in layer_operators(model, x[:20], y[:20], num_products=30):
                block.matmat(torch.randn(2, block.dim))
            for engine in (R_OPERATOR, DOUBLE_BACKWARD):
                block_operator(model, x[:20], y[:20], None, engine.name).matmat(torch.randn(1, dimension(model, None)))
    elif what in PEERS:
        for layer in [*weight_layers(model), None]:
            product = PEERS[what](model, x, y, layer)
            product(product(torch.randn(dimension(model, layer))))
            del product
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def memory() -> None:
    print(f"imports and samples alone: {peak(['nothing']):.0f} MiB")
    mine = peak(["ours"])
    print(f"ours, layers and all layers: {mine:.0f} MiB; layers only: {peak(['layers']):.0f} MiB")
    for name in installed():
        other = peak([name])
        print(f"{name}: {other:.0f} MiB; ours is {mine / other:.2f} of it")
    tight, roomy = spawn(["budget"]), spawn(["roomy"])
    print(f"N = 500: {float(tight[-1]):.0f} MiB with a budget of 1024 MiB, {float(roomy[-1]):.0f} MiB with 8192 MiB")
    here, there = ({line.split()[0]: line.split()[2:] for line in lines[:-1]} for lines in (tight, roomy))
    worst = max(abs(float(here[layer][0]) / float(norm) - 1) for layer, (norm, _) in there.items())
    print(f"  norms of the products of {len(there)} blocks differ by at most {worst:.0e} (relative, float32)")
    few, often = peak(["repeated", "5"]), peak(["repeated", "50"])
    print(f"5 jobs in one process: {few:.0f} MiB; 50 jobs: {often:.0f} MiB ({100 * (often / few - 1):+.1f} %)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["products", "job", "memory", "child"])
    parser.add_argument("arguments", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "child":
        child(*options.arguments)
    elif options.what == "memory":
        memory()
    else:
        {"products": products, "job": job}[options.what](options.rounds)


if __name__ == "__main__":
    main()

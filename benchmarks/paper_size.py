"""What a Hessian product of each layer costs at the size of the paper's tasks, against other libraries.

    python benchmarks/paper_size.py resnet18 --samples 24 --gib 16           # 10 classes; add --classes 100
    python benchmarks/paper_size.py page > docs/paper_size.md                # the tables of benchmarks/results/*.json

The paper measures on 2000 samples, which take days by the other libraries on one core. Costs in F, an evaluation
forward pass of the whole network on the same samples, do not depend on their number, but what fits into memory does. So
the memory budget is scaled: what it leaves beyond what a process takes before any work (0.69 GiB) is multiplied by
N/2000. Weights and vectors do not shrink with N, so that the scaled budget is a little tighter than the real one.

One thread; processor seconds; in every round each method and the forward pass take turns; medians over rounds. Products
are compared in float64 on two samples before anything is timed. Weights and samples are random. `set-up` is all that
layers cost besides their products: checks, factor passes, and graphs of the other libraries.
"""

import argparse
import json
import platform
import statistics
import subprocess
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from hessian_products import PEERS, forward, installed, seconds
from torch import Tensor, nn

from analysis.sharpness.hessian import HessianBlock, layer_operators
from analysis.sharpness.hessian.engines.double_backward import DoubleBackward
from analysis.sharpness.hessian.engines.implicit_factor import GAUSS_NEWTON_IMPLICIT
from analysis.sharpness.layers import weight_layers
from analysis.sharpness.memory import settle_allocator, taken_memory
from trainables.models.resnet import resnet18, resnet20, resnet34
from trainables.models.simple_vit import SimpleViT

RESULTS = Path(__file__).parent / "results"
NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "resnet18": resnet18,
    "resnet20": resnet20,
    "resnet34": resnet34,
    "simple_vit": SimpleViT,
}
BARE_PROCESS = 0.69 * 2**30  # bytes
PAPER_SAMPLES = 2000
EQUAL_WORK = 150  # products a layer: 10 probes of 15 steps
LIBRARIES = ("torch", "numpy", "pyhessian", "hessian-eigenthings", "curvlinops-for-pytorch")
Product = Callable[[Tensor], Tensor]


def scaled_budget(gib: float, num_samples: int) -> int:
    left = gib * 2**30 - BARE_PROCESS
    return taken_memory(torch.device("cpu")) + int(left * num_samples / PAPER_SAMPLES)


def errors(
    model: nn.Module, x: Tensor, y: Tensor, curvature: str, peers: dict[str, Any]
) -> dict[str, dict[str, float]]:
    """Relative differences from double backward by layer and method, in float64, on two samples."""
    x, y, found = x[:2].double(), y[:2], {}
    model.double()
    engine, layers = GAUSS_NEWTON_IMPLICIT.name, weight_layers(model)
    for block in layer_operators(model, x, y, layers, engine, curvature=curvature):
        v = torch.randn(block.dim, dtype=torch.float64)
        reference = DoubleBackward(block.problem, [block.layer or ""], curvature, lean=False).matmat(v[None])[0]
        products = {name: make(model, x, y, block.layer)(v) for name, make in peers.items()}
        products[engine] = block.matmat(v[None])[0]
        found[block.layer or ""] = {
            name: float((product - reference).norm() / reference.norm()) for name, product in products.items()
        }
    model.float()
    return found


def time_block(
    model: nn.Module, x: Tensor, y: Tensor, block: HessianBlock, peers: dict[str, Any], rounds: int
) -> dict[str, Any]:
    """Seconds of a product by method, of a forward pass beside them, and of the peers' set-up."""
    setups: dict[str, float] = {}
    products: dict[str, Product] = {"ours": lambda v: block.matmat(v[None])}
    for name, make in peers.items():

        def build(make: Any = make, name: str = name) -> None:
            products[name] = make(model, x, y, block.layer)

        setups[name] = seconds(build)
    v = torch.randn(block.dim)
    times: dict[str, list[float]] = {name: [] for name in [*products, "F"]}
    for product in products.values():
        product(v)
    for _ in range(rounds):
        times["F"].append(forward(model, x))
        for name, product in products.items():
            times[name].append(seconds(partial(product, v)))
    return {"seconds": {name: statistics.median(values) for name, values in times.items()}, "setup": setups}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    peers = {name: make for name, make in installed().items() if name in options.peers}
    torch.manual_seed(0)
    settle_allocator()
    model = NETWORKS[options.what](num_classes=options.classes).eval()
    x, y = torch.randn(options.samples, 3, 32, 32), torch.randint(0, options.classes, (options.samples,))
    forward(model, x)
    rows: list[dict[str, Any]] = []
    curvature = "gauss_newton" if options.what == "simple_vit" else "hessian"
    checked = errors(model, x, y, curvature, peers if curvature == "hessian" else {})
    settle_allocator()  # what the comparison freed is not to count as taken
    budget = scaled_budget(options.gib, options.samples)
    blocks = layer_operators(
        model, x, y, weight_layers(model), curvature=curvature, memory_budget=budget, num_products=EQUAL_WORK
    )
    own_setup = 0.0
    while True:
        found: list[HessianBlock | None] = []
        own_setup += seconds(lambda found=found: found.append(next(blocks, None)))  # type: ignore[misc]
        block = found[0]
        if block is None:
            break
        chosen = peers if curvature == "hessian" else {}
        row = time_block(model, x, y, block, chosen, options.rounds)
        F = row["seconds"]["F"]
        rows.append(
            {
                "layer": block.layer,
                "engine": block.engine,
                "estimate": block.cost.product,
                "errors": checked[block.layer or ""],
                **row,
            }
        )
        cells = ", ".join(f"{name} {cost / F:.3f}" for name, cost in row["seconds"].items() if name != "F")
        print(f"{block.layer:32} {block.engine:22} {cells} F (estimated {block.cost.product:.3f})", flush=True)
        del block, found
    return {
        "network": options.what,
        "classes": options.classes,
        "samples": options.samples,
        "gib": options.gib,
        "rounds": options.rounds,
        "own_setup_seconds": own_setup,
        "layers": rows,
        "machine": {"processor": processor(), "cores": torch.get_num_threads(), "system": platform.platform()},
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=RESULTS.parent, capture_output=True, text=True, check=False
        ).stdout.strip(),
        "versions": {name: found_version(name) for name in LIBRARIES},
    }


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def found_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def table(result: dict[str, Any]) -> str:
    """A Markdown table of costs in F, and the ratios for equal work."""
    methods = [name for name in result["layers"][0]["seconds"] if name != "F"]
    lines = [
        f"## {result['network']}, {result['classes']} classes, N = {result['samples']}, budget scaled from "
        f"{result['gib']:g} GiB",
        "",
        "| layer | engine | " + " | ".join(methods) + " | estimated |",
        "|---|---|" + "---|" * (len(methods) + 1),
    ]
    unit = statistics.median(row["seconds"]["F"] for row in result["layers"])
    for row in result["layers"]:
        cells = " | ".join(f"{row['seconds'][name] / row['seconds']['F']:.3f}" for name in methods)
        lines.append(f"| {row['layer']} | {row['engine']} | {cells} | {row['estimate']:.3f} |")
    sums = {name: sum(row["seconds"][name] / row["seconds"]["F"] for row in result["layers"]) for name in methods}
    lines.append("| **all** | | " + " | ".join(f"{sums[name]:.2f}" for name in methods) + " | |")
    setups = {name: sum(row["setup"][name] for row in result["layers"]) / unit for name in methods if name != "ours"}
    setups["ours"] = result["own_setup_seconds"] / unit
    work = {name: setups[name] + EQUAL_WORK * sums[name] for name in methods}
    texts = [f"{name} {work[name]:.0f} F ({work[name] / work['ours']:.1f}×)" for name in methods]
    worst = max((error for row in result["layers"] for error in row["errors"].values()), default=None)
    lines += [
        "",
        f"Set-up and {EQUAL_WORK} products of each layer: {', '.join(texts)}; our set-up {setups['ours']:.0f} F.",
    ]
    if worst is not None:
        lines += [f"Largest difference from double backward in float64: {worst:.0e}."]
    return "\n".join(lines)


def page() -> str:
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    origin = {(r["machine"]["processor"], r["commit"][:8], r["versions"]["torch"]) for r in results}
    heads = "; ".join(f"{where}, commit {commit}, torch {torch_version}" for where, commit, torch_version in origin)
    head = (
        f"# Products of layers at the size of the paper\n\nMade by `python benchmarks/paper_size.py page`. {heads}.\n"
    )
    return "\n\n".join([head + f"\n{__doc__.split(chr(10) * 2, 2)[2].strip()}", *map(table, results)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*NETWORKS, "page"])
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--gib", type=float, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=list(PEERS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "page":
        print(page())
        return
    result = measure(options)
    name = f"{options.what}-{options.classes}-{options.gib:g}gib.json"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / name).write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))


if __name__ == "__main__":
    main()

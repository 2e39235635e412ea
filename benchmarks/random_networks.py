"""Every engine against plain double backward in float64, on networks drawn at random: counts by engine.

    OMP_NUM_THREADS=1 python benchmarks/random_networks.py --networks 2000 --seed 0

Recurrent networks with heads on their states, time first and batch first; mixtures of experts, some never chosen; tied,
cosine and standardized weights; residual networks with batch-norm; strides, dilation, groups and poolings; dead units
and black images. Both curvatures, products and exact spectra, every engine that can be asked for. Ends with exit code 1
if one value is wrong.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.analysis.sharpness.hessian.random_networks import differences, draw_case


def main() -> None:
    """Draw the networks of a seed, one after the other, and print what is wrong as it is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first network, to go on where a run ended")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    kinds: Counter[str] = Counter()
    served: Counter[str] = Counter()
    faults, started = 0, time.perf_counter()
    for number in range(options.first, options.first + options.networks):
        case = draw_case(number, options.seed)
        wrong, by_engine = differences(case)
        kinds[case.kind] += 1
        served += by_engine
        faults += bool(wrong)
        for text in wrong:
            print(f"network {number}: {text}", flush=True)
    print(f"{options.networks} networks of seed {options.seed} from {options.first} on, {faults} with a wrong value")
    print("kinds: " + ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())))
    print("blocks by engine: " + ", ".join(f"{engine} {count}" for engine, count in served.most_common()))
    print(f"{time.perf_counter() - started:.0f} s")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()

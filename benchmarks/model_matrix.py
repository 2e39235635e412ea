"""Every layer of networks that people have, against float64 double backward by hand; the table of docs/models.md.

    OMP_NUM_THREADS=1 python benchmarks/model_matrix.py            # the table, in about ten minutes on one core
    OMP_NUM_THREADS=1 python benchmarks/model_matrix.py --only GPT  # those whose name or source has these letters
    OMP_NUM_THREADS=1 python benchmarks/model_matrix.py --write    # put the rows into docs/models.md

Small configurations with random weights, in float32. For each layer and both curvatures, one product of the engine that
the library chose; for layers of fewer than 2 000 weights the trace of the Gauss–Newton block as well, from a dense
Jacobian. Ends with exit code 1 if an error is above 1e-5. Needs the extra `models`.
"""

import argparse
import re
import sys
import warnings
from collections import Counter
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.analysis.sharpness.zoo import entries
from tests.analysis.sharpness.zoo.comparison import CURVATURES, TOLERANCE, Findings, compare
from tests.analysis.sharpness.zoo.entry import Entry

PAGE = Path(__file__).resolve().parents[1] / "docs" / "models.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
COLUMNS = ("network", "of", "layers", "Hessian by", "Gauss–Newton by", "error", "by hand", "why double backward", "s")
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"


def main() -> None:
    """Compare network by network, print a row of each, and write the page if that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="LETTERS")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows: dict[tuple[str, str], str] = {}
    wrong = 0
    print(HEAD, end="")
    for entry in entries():
        if options.only.lower() not in f"{entry.name} {entry.source}".lower():
            continue
        torch.manual_seed(0)
        findings = compare(entry.build())
        wrong += not findings.worst <= TOLERANCE
        rows[entry.name, entry.source] = row(entry, findings)
        print(rows[entry.name, entry.source], end="", flush=True)
    print(f"{len(rows)} networks, {wrong} with an error above {TOLERANCE:g}")
    if options.write:
        write(rows)
    sys.exit(1 if wrong else 0)


def write(rows: dict[tuple[str, str], str]) -> None:
    """Put these rows into the table of the page, beside those of other networks that it has."""
    before, old, after = re.split(f"{BEGIN}|{END}", PAGE.read_text(encoding="utf-8"))
    there = {tuple(line.split(" | ")[:2]): f"{line}\n" for line in old.splitlines()}
    kept = {(entry.name, entry.source): there.get((f"| {entry.name}", entry.source), "") for entry in entries()}
    table = BEGIN + HEAD + "".join((kept | rows).values()) + END
    PAGE.write_text(before + table + after, encoding="utf-8")


def row(entry: Entry, findings: Findings) -> str:
    """One line of the table."""
    hessian, gauss_newton = (counted(findings.engines(curvature)) for curvature in CURVATURES)
    cells = [
        entry.name,
        entry.source,
        str(len(findings.layers) // 2),
        hessian,
        gauss_newton,
        f"{findings.worst:.0e}",
        f"{max(found.by_hand for found in findings.layers):.0e}",
        "; ".join([why(findings), *dict.fromkeys(findings.said)]).strip("; "),
        f"{findings.seconds:.0f}",
    ]
    return "| " + " | ".join(cells) + " |\n"


def counted(engines: Counter[str]) -> str:
    """Engines with how many layers each served."""
    return ", ".join(f"{engine} {count}" for engine, count in engines.most_common())


def why(findings: Findings) -> str:
    """The reason why the Hessian's products come from double backward, where they do."""
    reasons = Counter(
        found.reason.rpartition("no tape: ")[2]
        for found in findings.layers
        if found.engine == "double_backward" and found.curvature == "hessian" and "no tape: " in found.reason
    )
    return ", ".join(reasons)


if __name__ == "__main__":
    main()

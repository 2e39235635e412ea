"""A random sample of the grid: drawn point by point, so that a grid of any size is never built."""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field

from analysis.section import Section
from analysis.seeding import derive_seed
from orchestrator.config.grid import Axis, SubGrid

ROUNDS = 8  # of the Feistel network; 4 make a permutation that no test of polynomial cost tells from a random one


class Sample(Section):
    """How many trials of the grid are drawn, without replacement and all with the same probability.

    With one seed, a smaller sample is the beginning of a larger one. The order in which the file lists sub-grids, axes,
    values and seeds does not matter.
    """

    trials: Annotated[int, Field(gt=0)]
    seed: Annotated[int, Field(ge=0)] = 0


def num_combinations(grid: Sequence[SubGrid], seeds: Sequence[int]) -> int:
    """The number of combinations of a grid and its seeds; a trial that two sub-grids share counts twice."""
    return len(seeds) * sum(sub_grid.size for sub_grid in grid)


def in_order(grid: Sequence[SubGrid]) -> list[int]:
    """The indices of the sub-grids in an order that does not depend on how the file lists them."""
    return sorted(range(len(grid)), key=lambda index: (grid[index].optimizer, _text(_canonical(grid[index], ()))))


def shuffled(grid: Sequence[SubGrid], seeds: Sequence[int], seed: int) -> Iterator[tuple[int, dict[str, Any], int]]:
    """Every combination of a grid once, in random order: the sub-grid's index, the values by axis, the trial's seed.

    The combinations are numbered in an order that does not depend on how the file lists them, and a random permutation
    of the numbers is computed one number after the other. Cost of one: at most 4 · ROUNDS hashes on average.
    """
    order = in_order(grid)
    axes = [_canonical(grid[index], seeds) for index in order]
    sizes = [math.prod(len(axis.values) for axis in each) for each in axes]
    total = sum(sizes)
    for position in range(total):
        number = permuted(position, total, seed)
        part = 0
        while number >= sizes[part]:
            number -= sizes[part]
            part += 1
        point: dict[str, Any] = {}
        for axis in axes[part]:
            number, digit = divmod(number, len(axis.values))
            point |= zip(axis.names, axis.values[digit], strict=True)
        trial_seed = point.pop("seed")
        yield order[part], point, trial_seed


def permuted(index: int, size: int, seed: int) -> int:
    """π(index) of a random permutation π of 0, …, size − 1, computed for this index alone.

    A Feistel network with SHA-256 permutes the numbers of an even count of bits. Where it leaves the range, it is
    applied again until it returns (cycle walking; Black and Rogaway 2002).
    """
    half = ((size - 1).bit_length() + 1) // 2 or 1
    mask = (1 << half) - 1
    key = derive_seed(seed, "sample of the grid")
    while True:
        left, right = index >> half, index & mask
        for number in range(ROUNDS):
            digest = hashlib.sha256(f"{key} {number} {right}".encode()).digest()
            left, right = right, left ^ (int.from_bytes(digest, "big") & mask)
        index = left << half | right
        if index < size:
            return index


def _canonical(sub_grid: SubGrid, seeds: Sequence[int]) -> list[Axis]:
    """The axes of a sub-grid, and the seeds as one more, sorted by their names, each with its values sorted."""
    axes = [*sub_grid.axes, Axis(("seed",), tuple((seed,) for seed in seeds))]
    found = []
    for axis in axes:
        order = sorted(range(len(axis.names)), key=lambda position: axis.names[position])
        values = [tuple(value[position] for position in order) for value in axis.values]
        found.append(Axis(tuple(axis.names[position] for position in order), tuple(sorted(values, key=_text))))
    return sorted(found, key=lambda axis: axis.names)


def _text(value: Any) -> str:
    """A value, a tuple of values, or axes as text that orders them, whatever their types."""
    if isinstance(value, list):
        return json.dumps([(axis.names, axis.values) for axis in value])
    return json.dumps(value)

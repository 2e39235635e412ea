"""The hyperparameter axes of a sweep, found in its results: which vary, which vary together, and what is repeated."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import schema
from analysis.results.sweep import SampledGrid
from analysis.statistics.resampling import IntArray

OPTIMIZER = "optimizer"
AND = " & "  # between the names of coupled axes
SEED = "seed"  # repeats of a configuration, not an axis of it
_NOT_AXES = {*schema.MEASUREMENT_COLUMNS, SEED, OPTIMIZER}

Values = Mapping[tuple[str, str], Sequence[object]]  # by optimizer and axis


@dataclass(frozen=True)
class GridAxes:
    """The positions of a sweep's trials in its grid."""

    labels: dict[str, IntArray]  # by axis: (N,) index of each trial's value
    averaged: tuple[str, ...]  # the axes whose single effect can be judged
    cells: IntArray  # (N,) number of each trial's configuration; trials of one differ only in their seed


def grid_axes(trials: pd.DataFrame, names: Sequence[str] | None = None, grid: SampledGrid | None = None) -> GridAxes:
    """The axes that vary over the trials.

    Each optimizer's values on an axis are numbered in ascending order, so learning rates of SGD and of Adam are
    matched by their index. The optimizer itself counts as an axis only if all optimizers have the same number of
    values on every axis. Axes that always vary together (coupled learning rate and batch size) are one axis.

    Args:
        trials: one row a trial, with its parameters and generalization quantities.
        names: the columns that are axes; left out, every parameter that varies.
        grid: of which the trials are a sample. In a small sample axes vary together by chance, and values are missing;
            so which axes are coupled and the numbers of values are taken from the grid.
    """
    is_axis = OPTIMIZER in trials and (names is None or OPTIMIZER in names)
    optimizers = trials[OPTIMIZER] if is_axis else pd.Series("", index=trials.index)
    candidates = [name for name in trials.columns if name not in _NOT_AXES and not schema.is_generalization(name)]
    if names is not None:
        candidates = [name for name in names if name != OPTIMIZER]
    known = {} if grid is None else grid.values
    levels = {name: _level_within(trials[name], optimizers, known) for name in candidates}
    varying = {name: codes for name, codes in levels.items() if codes.max(initial=0) > 0}
    labels = _merge_coupled(varying, optimizers, None if grid is None else grid.coupled)
    averaged = tuple(labels)
    if optimizers.nunique() > 1:
        matched = all(
            len({_last(codes, axis, name, optimizers, known) for name in optimizers.unique()}) == 1
            for axis, codes in labels.items()
        )
        labels = {OPTIMIZER: pd.factorize(optimizers)[0].astype(np.intp), **labels}
        averaged = tuple(labels) if matched else averaged
    everything = np.stack(list(labels.values()), axis=1) if labels else np.zeros((len(trials), 1), dtype=np.intp)
    return GridAxes(labels, averaged, np.unique(everything, axis=0, return_inverse=True)[1].ravel())


def _level_within(values: pd.Series, optimizers: pd.Series, known: Values) -> IntArray:
    """(N,) rank of each value among those of its optimizer; missing values together have a separate rank."""
    codes = np.zeros(len(values), dtype=np.intp)
    for optimizer in optimizers.unique():
        chosen = (optimizers == optimizer).to_numpy()
        there = values[chosen]
        further = [math.nan if value is None else value for value in known.get((optimizer, str(values.name)), ())]
        every = pd.concat([there, pd.Series(further)]) if further else there
        codes[chosen] = pd.factorize(every, sort=True, use_na_sentinel=False)[0][: len(there)]
    return codes


def _last(codes: IntArray, axis: str, optimizer: str, optimizers: pd.Series, known: Values) -> int:
    """The rank of the last value of an optimizer on an axis, of its values in the grid where these are known."""
    values = known.get((optimizer, axis.partition(AND)[0]))
    return len(values) - 1 if values else int(codes[optimizers == optimizer].max())


def _merge_coupled(
    levels: dict[str, IntArray], optimizers: pd.Series, coupled: Collection[Collection[str]] | None
) -> dict[str, IntArray]:
    """The axes by name; those that determine each other within every optimizer are one axis with a common name.

    Where it is known which axes are `coupled`, others are not: they determine each other by chance.
    """
    groups: list[list[str]] = []
    for name, codes in levels.items():
        together = next(
            (
                group
                for group in groups
                if (coupled is None or any({group[0], name} <= set(each) for each in coupled))
                and _coupled(levels[group[0]], codes, optimizers)
            ),
            None,
        )
        if together is None:
            groups.append([name])
        else:
            together.append(name)
    return {AND.join(group): levels[group[0]] for group in groups}


def _coupled(first: IntArray, second: IntArray, optimizers: pd.Series) -> bool:
    group = pd.factorize(optimizers)[0]
    pairs = len(set(zip(group, first, second, strict=True)))
    return pairs == len(set(zip(group, first, strict=True))) == len(set(zip(group, second, strict=True)))

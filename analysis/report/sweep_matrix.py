"""A sweep as matrices for the statistics: a row for each trial, a column for each (measure, parameter, layer)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis import schema
from analysis.measures import headline_of
from analysis.report.grid_axes import SEED, GridAxes, grid_axes
from analysis.report.wording import layer_name
from analysis.results.sweep import SampledGrid, plain_columns
from analysis.results.table import ModelTable
from analysis.results.targets import LOSS, Target, check_known, column_target, with_targets
from analysis.statistics.relabeling import Design
from analysis.statistics.resampling import FloatArray, IntArray

KEYS = [schema.MEASURE, schema.PARAMETER, schema.LAYER]


@dataclass(frozen=True)
class SweepMatrix:
    """All measurements of the trials that have a finite gap, in the order of their ids."""

    name: str
    keys: pd.DataFrame  # (num_columns, 3) measure, parameter (NaN where it has none), layer
    values: FloatArray  # (N, num_columns), NaN where missing
    stderr: FloatArray  # (N, num_columns)
    trials: pd.DataFrame  # (N, …) trial_id, parameters, generalization quantities
    target: Target  # what the measures are ranked against
    without_gap: int  # measured trials that have no finite gap, and so are left out
    axis_names: tuple[str, ...] | None = None  # the columns that are axes; None: every parameter that varies
    grid: SampledGrid | None = None  # of which the trials are a sample
    words: Mapping[str, str] = field(default_factory=dict)  # what a layer is, where that is known

    @classmethod
    def of(
        cls, results: pd.DataFrame, name: str, target: Target = LOSS, grid: SampledGrid | None = None
    ) -> "SweepMatrix":
        """Arrange the tidy table as matrices; layers keep their order, and all layers together come last.

        Raises:
            AnalysisError: no trial has the target.
        """
        everywhere = [column for column in results.columns if column not in schema.MEASUREMENT_COLUMNS]
        trials = results.drop_duplicates(schema.TRIAL_ID)[[schema.TRIAL_ID, *everywhere]]
        trials = with_targets(plain_columns(trials)).sort_values(schema.TRIAL_ID, ignore_index=True)
        check_known(target, trials.columns, name)
        finite = np.isfinite(trials[target.column].to_numpy(dtype=float))
        kept = trials[finite].reset_index(drop=True)
        row = pd.Index(kept[schema.TRIAL_ID]).get_indexer(results[schema.TRIAL_ID])
        column = results.groupby(KEYS, dropna=False, sort=False, observed=True).ngroup().to_numpy()
        keys = plain_columns(results[KEYS].drop_duplicates(ignore_index=True))
        values, stderr = (np.full((len(kept), len(keys)), np.nan) for _ in range(2))
        chosen = row >= 0
        values[row[chosen], column[chosen]] = results[schema.VALUE].to_numpy(dtype=float)[chosen]
        stderr[row[chosen], column[chosen]] = results[schema.STDERR].to_numpy(dtype=float)[chosen]
        order = _display_order(keys)
        return cls(
            name,
            keys.iloc[order].reset_index(drop=True),
            values[:, order],
            stderr[:, order],
            kept,
            target,
            int((~finite).sum()),
            grid=grid,
        )

    @classmethod
    def of_table(cls, table: ModelTable, gap: str) -> "SweepMatrix":
        """Somebody's table as matrices, with one of its gaps; its measures have no standard errors."""
        target = column_target(gap)
        finite = np.isfinite(table.trials[gap].to_numpy(dtype=float))
        keys = pd.DataFrame(
            [(column.measure, column.parameter, column.layer) for column in table.measures], columns=KEYS
        ).astype({schema.PARAMETER: float})
        order = _display_order(keys)
        values = table.values[finite][:, order]
        return cls(
            table.name,
            keys.iloc[order].reset_index(drop=True),
            values,
            np.full(values.shape, np.nan),
            table.trials[finite].reset_index(drop=True),
            target,
            int((~finite).sum()),
            table.axes,
        )

    @property
    def gap_name(self) -> str:
        """The column of the trials that is the gap."""
        return self.target.column

    @property
    def n(self) -> int:
        """Number of trials."""
        return len(self.trials)

    @property
    def gap(self) -> FloatArray:
        """(N,) generalization gap."""
        gap: FloatArray = self.trials[self.gap_name].to_numpy(dtype=float)
        return gap

    @cached_property
    def axes(self) -> GridAxes:
        """The positions of the trials in the grid."""
        return grid_axes(self.trials, self.axis_names, self.grid)

    @cached_property
    def design(self) -> Design:
        """What the null of every p-value exchanges: levels of axes where the grid allows it, the seeds together."""
        labels = self.axes.labels
        if not labels:
            return Design.of_cells(self.n, self.axes.cells)
        return Design.of(labels, self.trials[SEED].to_numpy() if SEED in self.trials else None)

    @property
    def layers(self) -> list[str]:
        """The layers in the network's order, and all layers together at the end."""
        return list(dict.fromkeys(self.keys[schema.LAYER]))

    def layer_title(self, layer: str) -> str:
        """What a layer is, `conv 1, 3×3, 8`; where that is not known, its name."""
        return self.words.get(layer, layer_name(layer))

    @cached_property
    def headline(self) -> NDArray[np.bool_]:
        """(num_columns,) whether a column is at a parameter that was declared beforehand.

        For a measure without a declared parameter among those measured, it is the smallest one.
        """
        flags = np.zeros(len(self.keys), dtype=bool)
        for measure, group in self.keys.groupby(schema.MEASURE, sort=False):
            parameters = group[schema.PARAMETER]
            declared = parameters.isin(headline_of(str(measure)))
            chosen = declared if declared.any() else parameters.isna() | (parameters == parameters.min())
            flags[group.index[chosen]] = True
        return flags

    @cached_property
    def families(self) -> dict[tuple[str, str], IntArray]:
        """The columns of each (measure, layer) that was measured at several parameters."""
        members: dict[tuple[str, str], list[int]] = {}
        for index, (measure, layer) in enumerate(zip(self.keys[schema.MEASURE], self.keys[schema.LAYER], strict=True)):
            members.setdefault((measure, layer), []).append(index)
        return {key: np.array(indices, dtype=np.intp) for key, indices in members.items() if len(indices) > 1}

    def column(self, measure: str, parameter: float | None, layer: str) -> int | None:
        """Index of a column; None if the sweep has no such column."""
        parameters = self.keys[schema.PARAMETER]
        same = parameters.isna() if parameter is None else parameters == parameter
        found = np.flatnonzero(same & (self.keys[schema.MEASURE] == measure) & (self.keys[schema.LAYER] == layer))
        return int(found[0]) if len(found) else None


def _display_order(keys: pd.DataFrame) -> IntArray:
    """Measures in the order of the table, parameters ascending, layers in the network's order, all layers last."""
    measures = {name: index for index, name in enumerate(dict.fromkeys(keys[schema.MEASURE]))}
    layers = [layer for layer in dict.fromkeys(keys[schema.LAYER]) if layer != schema.ALL_LAYERS]
    positions = {layer: index for index, layer in enumerate([*layers, schema.ALL_LAYERS])}
    order: IntArray = np.lexsort(
        [keys[schema.LAYER].map(positions), keys[schema.PARAMETER].fillna(-1.0), keys[schema.MEASURE].map(measures)]
    )
    return order

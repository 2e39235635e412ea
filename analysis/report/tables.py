"""Tables of a sweep's verdict, as data frames; one function for each table."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from analysis.report.statements import LEAST_FOR_CLAIMS, LEVEL
from analysis.report.sweep_matrix import SweepMatrix
from analysis.report.wording import ANY_LAYER
from analysis.schema import LAYER, MEASURE, NO_LAYER, PARAMETER, TRAIN_LOSS
from analysis.statistics import (
    KendallTaus,
    MaxTau,
    NestedTau,
    Null,
    adjusted_p_values,
    attenuation,
    conditional_mutual_information,
    granulated_kendall,
    holm,
    kendall_taus,
    lead,
    max_permutation_test,
    nested_order_taus,
    partial_kendall,
    partial_tau,
    permuted_taus,
    sign_error,
    stratified_kendall,
    tau_differences,
)
from analysis.statistics.axes import Grid
from analysis.statistics.resampling import NUM_DRAWS, FloatArray, IntArray

RENYI = ("renyi", "renyi_gauss_newton")
GIVEN_LOSS = "training loss"
LEAST_PAIRS = 1.0  # in an environment of the sign error; with single seeds there are no more


@dataclass(frozen=True)
class Association:
    """τ of every column with the gap, its bootstrap and its null, computed once for several tables."""

    taus: KendallTaus
    permuted: FloatArray  # (draws, num_columns) τ under the null
    null: Null

    def strong_enough(self, columns: NDArray[np.bool_]) -> float:
        """The least |τ| that would be significant among some columns: the 95th percentile of the largest |τ|."""
        return null_limit(self.permuted[:, columns])


def null_limit(permuted: FloatArray, looks: int = 1) -> float:
    """1 − .05/looks quantile, over the null (draws, num_columns), of the largest |τ| of all columns."""
    largest = np.max(np.nan_to_num(np.abs(permuted)), axis=1, initial=0.0)
    return float(np.quantile(largest, 1 - LEVEL / looks, method="higher")) if len(largest) else np.nan


def associate(matrix: SweepMatrix, seed: int = 0, draws: int = NUM_DRAWS) -> Association:
    """Compute τ of every column with the gap. All seeds of a configuration are resampled together, in `draws`."""
    null = matrix.design.null(seed=seed)
    taus = kendall_taus(matrix.values, matrix.gap, seed, matrix.axes.cells, draws)
    return Association(taus, permuted_taus(matrix.values, matrix.gap, null), null)


def tau_table(matrix: SweepMatrix, association: Association) -> pd.DataFrame:
    """Kendall's τ of every (measure, parameter, layer) with the gap, strongest first.

    Columns: measure, parameter, layer, headline (declared beforehand), tau_b, ci_low, ci_high, stderr, p_value,
    p_adjusted (over the headline columns; only these have one), p_as_strong (that a headline column is as strong as the
    strongest, by `lead`), tau_a, n, num_configurations (those with a value), ties, missing, noise (root mean square of
    the standard errors divided by the spread between trials), attenuation (the factor by which it shrinks τ). Positive
    τ supports a measure: for all of them larger means sharper.
    """
    taus, headline = association.taus, matrix.headline
    p_value, _ = adjusted_p_values(taus.tau_b, association.permuted)
    p_adjusted = np.full(len(headline), np.nan)
    p_adjusted[headline] = adjusted_p_values(taus.tau_b[headline], association.permuted[:, headline])[1]
    configurations = configurations_with_value(matrix)
    as_strong = np.full(len(headline), np.nan)
    as_strong[headline] = as_strong_as_the_best(
        taus.tau_b[headline], taus.left_out[:, headline], p_adjusted[headline], configurations[headline]
    )
    noise = [attenuation(values, stderr) for values, stderr in zip(matrix.values.T, matrix.stderr.T, strict=True)]
    table = matrix.keys.assign(
        headline=headline,
        tau_b=taus.tau_b,
        ci_low=taus.ci_low,
        ci_high=taus.ci_high,
        stderr=taus.stderr,
        p_value=p_value,
        p_adjusted=p_adjusted,
        p_as_strong=as_strong,
        tau_a=taus.tau_a,
        n=taus.n,
        num_configurations=configurations,
        ties=taus.ties,
        missing=taus.missing,
        noise=[entry.noise for entry in noise],
        attenuation=[entry.factor for entry in noise],
    )
    return table.iloc[np.argsort(-np.nan_to_num(np.abs(taus.tau_b), nan=-1.0), kind="stable")].reset_index(drop=True)


def configurations_with_value(matrix: SweepMatrix) -> IntArray:
    """(num_columns,) number of configurations of which some seed has a value."""
    present = np.isfinite(matrix.values)
    counts: IntArray = sum(
        (present[matrix.design.cells == cell].any(axis=0) for cell in range(matrix.design.num_cells)),
        np.zeros(present.shape[1], dtype=np.intp),
    )
    return counts


def as_strong_as_the_best(
    tau: FloatArray, left_out: FloatArray, p_adjusted: FloatArray, configurations: IntArray
) -> FloatArray:
    """(num_columns,) one-sided p-values that a column is as strong as the strongest; NaN for that one.

    The strongest is looked for among the significant columns, if there are any. Columns with a value in fewer than 15
    configurations take no part.
    """
    enough = np.where(configurations >= LEAST_FOR_CLAIMS, tau, np.nan)
    significant = (p_adjusted < LEVEL) & np.isfinite(enough)
    return lead(enough, left_out, significant if significant.any() else None).p_values


def selection_table(matrix: SweepMatrix, association: Association, seed: int = 0) -> pd.DataFrame:
    """The effect of choosing the order (or ρ) by its τ, for each layer and for all layers together.

    Columns: measure, layer (`any`: the layer is chosen too), choices, nested_tau with ci_low and ci_high
    (leave-pair-out), paper_tau (the paper's protocol, the maximum: optimistic) at paper_parameter and paper_layer,
    chance_tau (mean of the maximum under reassigned gaps) and p_value of the maximum by the same.
    """
    rows = []
    for measure in dict.fromkeys(matrix.keys[MEASURE]):
        everywhere = np.flatnonzero(matrix.keys[MEASURE] == measure)
        layers = [layer for name, layer in matrix.families if name == measure]
        scopes = {layer: matrix.families[measure, layer] for layer in layers}
        if len(everywhere) > 1 and matrix.keys[LAYER][everywhere].nunique() > 1:
            scopes[ANY_LAYER] = everywhere
        choices = [np.searchsorted(everywhere, columns) for columns in scopes.values()]
        values = matrix.values[:, everywhere]
        nested_taus = nested_order_taus(values, matrix.gap, choices, seed, matrix.axes.cells) if choices else []
        for (layer, columns), nested in zip(scopes.items(), nested_taus, strict=True):
            best = max_permutation_test(association.taus.tau_b[columns], association.permuted[:, columns])
            rows.append(_selection_row(matrix, measure, layer, columns, nested, best))
    names = [MEASURE, LAYER, "choices", "nested_tau", "ci_low", "ci_high", "paper_tau", "paper_parameter"]
    return pd.DataFrame(rows, columns=[*names, "paper_layer", "chance_tau", "p_value"])


def difference_table(matrix: SweepMatrix, seed: int = 0) -> pd.DataFrame:
    """Rényi sharpness against each other measure on the same layer, headline parameters only.

    Columns: measure, parameter, other, other_parameter, layer, tau, other_tau, difference, ci_low, ci_high, stderr,
    p_value (paired permutation), p_holm (over all rows), n.
    """
    index = np.flatnonzero(matrix.headline)
    keys = matrix.keys
    pairs = [
        (int(x), int(y))
        for x in index
        for y in index
        if keys[MEASURE][x] in RENYI and keys[MEASURE][y] not in RENYI and keys[LAYER][x] == keys[LAYER][y]
    ]
    results = tau_differences(matrix.values, matrix.gap, pairs, seed, matrix.axes.cells) if pairs else []
    rows = [
        (keys[MEASURE][x], keys[PARAMETER][x], keys[MEASURE][y], keys[PARAMETER][y], keys[LAYER][x], result.tau_x,
         result.tau_y, result.difference, result.ci_low, result.ci_high, result.stderr, result.p_value, result.n)
        for (x, y), result in zip(pairs, results, strict=True)
    ]  # fmt: skip
    names = ("tau", "other_tau", "difference", "ci_low", "ci_high", "stderr", "p_value", "n")
    table = pd.DataFrame(rows, columns=[MEASURE, PARAMETER, "other", "other_parameter", LAYER, *names])
    table.insert(len(table.columns) - 1, "p_holm", holm(table["p_value"]))
    return table


def axes_table(matrix: SweepMatrix) -> pd.DataFrame:
    """Whether a measure follows the gap along each axis separately, for the headline columns.

    Columns: measure, parameter, layer, granulated (Ψ), one ψ for each axis, information (K), sign_error_mean,
    sign_error_90, sign_error_max, environments (number of changes of one axis whose gaps differ with some certainty).
    """
    axes = matrix.axes
    if not axes.labels:
        return pd.DataFrame(columns=[MEASURE, PARAMETER, LAYER, "granulated", "information"])
    grid, stderr = Grid.of(axes.labels), _gap_stderr(matrix)
    rows: list[dict[str, object]] = []
    for column in np.flatnonzero(matrix.headline):
        values = matrix.values[:, column]
        granulated = granulated_kendall(values, matrix.gap, grid, over=axes.averaged)
        information = conditional_mutual_information(values, matrix.gap, grid)
        error = sign_error(values, matrix.gap, grid, gap_stderr=stderr, min_effective_pairs=LEAST_PAIRS)
        rows.append(
            {
                **_key(matrix, int(column)),
                "granulated": granulated.psi,
                **{f"along {name}": axis.tau for name, axis in granulated.by_axis.items()},
                "information": information.k,
                "sign_error_mean": error.mean,
                "sign_error_90": error.percentile_90,
                "sign_error_max": error.maximum,
                "environments": error.environments,
            }
        )
    return pd.DataFrame(rows)


def training_table(
    matrix: SweepMatrix, association: Association, groups: Mapping[str, ArrayLike] | None = None, seed: int = 0
) -> pd.DataFrame:
    """Whether τ shows more than how far each network was trained, for the headline columns.

    Columns: given (`training loss`, and for each axis of the groups `training loss, <axis>`), measure, parameter,
    layer, tau_b, with_training_loss (τ of the measure with it), estimable, given_tau with given_low and given_high
    (partial τ of normal scores), p_value and p_adjusted (Freedman–Lane, the latter over estimable columns), explained
    (R² of the measure by what is given), gap_explained, effective (configurations left), kendall_partial (Kendall's,
    given the training loss), within_strata (τ within thirds by training loss), low_loss, middle_loss, high_loss.
    """
    if matrix.trials[TRAIN_LOSS].isna().all():
        return pd.DataFrame(columns=["given", MEASURE, PARAMETER, LAYER])
    columns = np.flatnonzero(matrix.headline)
    values, loss = matrix.values[:, columns], matrix.trials[TRAIN_LOSS].to_numpy(dtype=float)
    kendalls = partial_kendall(values, matrix.gap, loss, seed, matrix.axes.cells, draws=1)  # only its τ is shown
    strata = stratified_kendall(values, matrix.gap, loss)
    low, middle, high = strata.by_stratum
    given: dict[str, ArrayLike | None] = {GIVEN_LOSS: None}
    given |= {f"{GIVEN_LOSS}, {axis}": labels for axis, labels in (groups or {}).items()}
    parts = []
    for name, labels in given.items():
        partial = partial_tau(values, matrix.gap, loss, labels, matrix.design, seed)
        part = matrix.keys.iloc[columns].reset_index(drop=True).assign(
            tau_b=association.taus.tau_b[columns],
            with_training_loss=kendalls.with_third,
            estimable=partial.estimable,
            given_tau=partial.tau,
            given_low=partial.ci_low,
            given_high=partial.ci_high,
            p_value=partial.p_value,
            p_adjusted=partial.p_adjusted,
            explained=partial.explained_x,
            gap_explained=partial.explained_y,
            effective=partial.effective,
            kendall_partial=kendalls.tau,
            within_strata=strata.tau,
            low_loss=low,
            middle_loss=middle,
            high_loss=high,
        )  # fmt: skip
        part.insert(0, "given", name)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def values_table(matrix: SweepMatrix) -> pd.DataFrame:
    """The points of the scatter figures: for each trial its parameters, gap, losses and every headline value."""
    chosen = np.flatnonzero(matrix.headline)
    names = [_column_id(matrix, int(column)) for column in chosen]
    return pd.concat([matrix.trials, pd.DataFrame(matrix.values[:, chosen], columns=names)], axis=1)


def _selection_row(
    matrix: SweepMatrix, measure: str, layer: str, columns: IntArray, nested: NestedTau, best: MaxTau
) -> list[object]:
    chosen = matrix.keys.iloc[columns[best.column]] if best.column >= 0 else {PARAMETER: np.nan, LAYER: ""}
    middle = [nested.tau, nested.ci_low, nested.ci_high]
    return [
        measure,
        layer,
        len(columns),
        *middle,
        best.tau,
        chosen[PARAMETER],
        chosen[LAYER],
        best.chance,
        best.p_value,
    ]


def _gap_stderr(matrix: SweepMatrix) -> FloatArray | None:
    """(N,) standard error of each gap, from those of the quantities that it is made of; None if they are unknown."""
    parts = matrix.target.stderr
    if not parts or not all(part in matrix.trials for part in parts):
        return None
    squares = [matrix.trials[part].to_numpy(dtype=float) ** 2 for part in parts]
    stderr: FloatArray = np.sqrt(np.sum(squares, axis=0))
    return stderr


def _key(matrix: SweepMatrix, column: int) -> dict[str, object]:
    return {name: matrix.keys[name][column] for name in (MEASURE, PARAMETER, LAYER)}


def _column_id(matrix: SweepMatrix, column: int) -> str:
    parameter = matrix.keys[PARAMETER][column]
    suffix = "" if np.isnan(parameter) else f"_{parameter:g}"
    return f"{matrix.keys[MEASURE][column]}{suffix}/{matrix.keys[LAYER][column]}".removesuffix(f"/{NO_LAYER}")

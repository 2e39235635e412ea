"""The verdict on more models than can be compared pair by pair: τ with intervals, and no claim that needs a test."""

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.report.evidence import Evidence
from analysis.report.statements import MOST_PAIRED
from analysis.report.sweep_matrix import SweepMatrix
from analysis.report.tables import Association
from analysis.report.verdict import NAMED, VerdictLine
from analysis.report.wording import column_name, with_interval
from analysis.schema import LAYER, MEASURE, PARAMETER, TRAIN_LOSS
from analysis.statistics import KendallTau, KendallTaus, Null
from analysis.statistics.many_models import kendall_of_many
from analysis.statistics.resampling import FloatArray

NO_NULL = Null(np.empty((0, 0), dtype=np.intp), levels=False, exact=False, why_cells="none is computed")
POINTS = 2000  # in a scatter figure
_NOT_COMPUTED = "p-values, paired comparisons, τ given the training loss, and effects axis by axis"


def evidence_of_many(matrix: SweepMatrix) -> Evidence:
    """The tables that need no pairs: τ_b of every column, exact, with jackknife intervals over configurations."""
    cells = matrix.axes.cells
    loss = matrix.trials[TRAIN_LOSS].to_numpy(dtype=float)
    found = [kendall_of_many(column, matrix.gap, cells) for column in matrix.values.T]
    known = bool(np.isfinite(loss).any())
    with_loss = [kendall_of_many(column, loss, cells).tau_b for column in matrix.values.T] if known else []
    table = matrix.keys.assign(
        headline=matrix.headline,
        **{
            name: [getattr(tau, name) for tau in found]
            for name in ("tau_b", "ci_low", "ci_high", "stderr", "tau_a", "n", "ties", "missing")
        },
        p_value=np.nan,
        p_adjusted=np.nan,
        p_as_strong=np.nan,
        num_configurations=[len(np.unique(cells[np.isfinite(column)])) for column in matrix.values.T],
        noise=np.nan,
        attenuation=np.nan,
    )
    training = table[[MEASURE, PARAMETER, LAYER, "tau_b"]][matrix.headline if known else []]
    if known:
        training = training.assign(with_training_loss=np.array(with_loss)[matrix.headline])
    empty = pd.DataFrame({MEASURE: pd.Series(dtype=object)})
    return Evidence(
        matrix=matrix,
        association=Association(_as_arrays(found), np.empty((0, len(found))), NO_NULL),
        tau=table.iloc[np.argsort(-table["tau_b"].abs().fillna(-1.0).to_numpy(), kind="stable")].reset_index(drop=True),
        selection=empty,
        differences=empty,
        axes=empty,
        training=training,
        groups=empty,
        clusters=empty,
        comparisons=[],
        gap_with_training=kendall_of_many(loss, matrix.gap, cells),
        interval="jackknife",
    )


def verdict_of_many(evidence: Evidence) -> list[VerdictLine]:
    """What can be said without tests: which intervals lie above, below and around 0. Nothing is called best."""
    matrix, headline = evidence.matrix, evidence.headline
    above, below = headline["ci_low"] > 0, headline["ci_high"] < 0
    cells = len(set(matrix.axes.cells))
    data = [f"{matrix.n} models, of {cells} configurations", f"{matrix.target.title} {_span(matrix.gap)}"]
    if matrix.without_gap:
        data.append(f"{matrix.without_gap} left out: no finite {matrix.target.label}")
    missing = headline[headline["missing"] > 0]
    if len(missing):
        data.append(f"values missing in some models: {', '.join(_name(row) for _, row in missing.iterrows())}")
    lines = [
        VerdictLine(
            "verdict",
            f"no measure is called best or significant: of more than {MOST_PAIRED} models all pairs are not resampled, "
            f"and {_NOT_COMPUTED} are not computed; τ is exact, its intervals are the jackknife's over configurations",
        ),
        VerdictLine("data", "; ".join(data)),
        VerdictLine("interval above 0", _listed(headline[above])),
        VerdictLine("interval below 0", _listed(headline[below])),
        VerdictLine("not resolved", _listed(headline[~above & ~below])),
    ]
    tau = evidence.gap_with_training
    if np.isfinite(tau.tau_b):
        found = with_interval(tau.tau_b, tau.ci_low, tau.ci_high)
        lines.append(VerdictLine("how far trained", f"τ(training loss, gap) = {found}"))
    draw = "a part chosen by `--only`" if evidence.states else f"a random draw (`--sample {MOST_PAIRED}`)"
    advice = f"{draw} of at most {MOST_PAIRED} models gets the full verdict"
    return [*lines, VerdictLine("to get the rest", advice)]


def shown_in_figures(matrix: SweepMatrix, seed: int = 0) -> SweepMatrix:
    """A random draw of the models, as many as a scatter figure shows."""
    rows = np.sort(np.random.default_rng(seed).choice(matrix.n, POINTS, replace=False)) if matrix.n > POINTS else None
    if rows is None:
        return matrix
    trials = matrix.trials.iloc[rows].reset_index(drop=True)
    return replace(matrix, values=matrix.values[rows], stderr=matrix.stderr[rows], trials=trials)


def _as_arrays(found: list[KendallTau]) -> KendallTaus:
    fields = ("tau_b", "tau_a", "n", "ties", "missing", "stderr", "ci_low", "ci_high")
    nothing = np.empty((0, len(found)))
    arrays = {name: np.array([getattr(tau, name) for tau in found]) for name in fields}
    return KendallTaus(**arrays, draws=nothing, left_out=nothing)


def _listed(rows: pd.DataFrame) -> str:
    if rows.empty:
        return "no column"
    named = [f"{_name(row)} {with_interval(row['tau_b'], row['ci_low'], row['ci_high'])}" for _, row in rows.iterrows()]
    more = f"; and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return f"{len(named)} of the columns: {'; '.join(named[:NAMED])}{more}"


def _name(row: pd.Series) -> str:
    return column_name(row[MEASURE], row[PARAMETER], row[LAYER])


def _span(values: FloatArray) -> str:
    return f"{values.min():.3g} to {values.max():.3g}"

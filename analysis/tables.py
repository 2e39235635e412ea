"""Tables of a sweep's verdict, as data frames."""

import pandas as pd

from analysis.schema import GAP_LOSS, LAYER, MEASURE, PARAMETER, TRIAL_ID, VALUE
from analysis.statistics import kendall_tau


def tau_table(results: pd.DataFrame, gap: str = GAP_LOSS) -> pd.DataFrame:
    """Kendall's τ of every (measure, parameter, layer) with the generalization gap, strongest first.

    Columns: measure, parameter, layer, tau_b, ci_low, ci_high, tau_a, n, ties, missing. Positive τ supports the
    measure: every measure is oriented so that larger means sharper.
    """
    rows = []
    for (measure, parameter, layer), group in results.groupby([MEASURE, PARAMETER, LAYER], dropna=False, sort=False):
        # In the order of trial ids, so that a bootstrap draw resamples the same models for every measure.
        group = group.sort_values(TRIAL_ID)
        tau = kendall_tau(group[VALUE], group[gap])
        rows.append({MEASURE: measure, PARAMETER: parameter, LAYER: layer, **vars(tau)})
    table = pd.DataFrame(rows)
    strength = table["tau_b"].abs()
    ordered = table.assign(strength=strength).sort_values("strength", ascending=False, kind="stable")
    columns = [MEASURE, PARAMETER, LAYER, "tau_b", "ci_low", "ci_high", "tau_a", "n", "ties", "missing"]
    return ordered[columns].reset_index(drop=True)

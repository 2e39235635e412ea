import numpy as np
import pandas as pd

from analysis.tables import tau_table


def results() -> pd.DataFrame:
    """Six trials: one measure that follows the gap, one that opposes it weakly, one missing in half of them."""
    gap = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    columns = {
        ("renyi", 0.5): gap * 2,
        ("renyi", 1.5): np.array([6.0, 5.0, 3.0, 4.0, 2.0, 1.0]),
        ("trace", None): np.array([1.0, np.nan, 2.0, np.nan, np.nan, 0.5]),
    }
    return pd.DataFrame(
        {
            "trial_id": f"t{index}",
            "layer": "all",
            "measure": measure,
            "parameter": parameter,
            "value": value,
            "gap_loss": gap[index],
        }
        for (measure, parameter), values in columns.items()
        for index, value in enumerate(values)
    )


def test_measures_are_ranked_by_the_strength_of_their_tau() -> None:
    table = tau_table(results())
    assert list(table["measure"]) == ["renyi", "renyi", "trace"]
    assert list(table["parameter"][:2]) == [0.5, 1.5]
    assert table["tau_b"][0] == 1.0
    assert table["tau_b"][1] < 0


def test_trials_without_a_value_are_counted_as_missing() -> None:
    row = tau_table(results()).iloc[2]
    assert (row["n"], row["missing"]) == (3, 3)

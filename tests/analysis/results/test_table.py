import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.results.reading import RawTable, TableError, of_frame
from analysis.results.table import ModelTable, Roles, check_table

ROLES = Roles(axes=["lr", "seed"], gaps=["gap"])


def raw(**columns: list[object]) -> RawTable:
    return RawTable("models.csv", columns, lambda row: f"line {row + 2}")


def good(**columns: list[object]) -> RawTable:
    axes: dict[str, list[object]] = {"lr": ["0.1", "0.1", "0.3"], "seed": ["0", "1", "0"]}
    numbers: dict[str, list[object]] = {"gap": ["1", "2", ""], "m": ["3", "1", "2"]}
    return raw(**axes, **numbers, **columns)


def problems(table: RawTable, roles: Roles) -> list[str]:
    with pytest.raises(TableError) as caught:
        check_table(table, roles, "models")
    return list(caught.value.problems)


def test_the_columns_get_their_roles() -> None:
    table = check_table(good(), ROLES, "models")
    assert table.axes == ("lr",)
    assert table.gaps == ("gap",)
    assert table.trials["lr"].tolist() == [0.1, 0.1, 0.3]
    assert table.trials["trial_id"].tolist() == ["line 2", "line 3", "line 4"]
    assert np.isnan(table.trials["gap"][2])
    assert table.trials["train_loss"].isna().all()
    np.testing.assert_array_equal(table.values, [[3], [1], [2]])


def test_what_was_decided_is_noted() -> None:
    notes = check_table(
        good(flat=["1", "2", "4"], word=["a", "b", "c"]), Roles(["lr", "seed"], ["gap"], flip=["flat"]), "t"
    ).notes
    assert notes == (
        "models that differ in the seed alone are repeats of one configuration",
        "measures taken: m, flat; left out: word (text)",
        "sign reversed, so that larger means sharper: flat",
        "no training loss given",
    )


def test_a_reversed_measure_changes_its_sign() -> None:
    table = check_table(good(), Roles(["lr"], ["gap"], measures=["m"], flip=["m"]), "models")
    np.testing.assert_array_equal(table.values, [[-3], [-1], [-2]])
    assert table.measures[0].measure == "−m"


def test_every_problem_is_reported_at_once_with_its_place_value_and_remedy() -> None:
    table = raw(
        lr=["0.1", "0.3", "0.1", "0.3"],
        gap=["1", "n.a.", "x", "2"],
        loss=["0.1", "inf", "0.2", "0.3"],
        m=["True", "1", "2", "3"],
        empty=["", "", "", ""],
    )
    roles = Roles(["lrr", "lr"], ["gap", "empty"], "loss", ["m", "nope", "lr"], ["gap"])
    assert problems(table, roles) == [
        "models.csv: axes lrr: no such column; did you mean lr?",
        "models.csv: column gap: line 3: 'n.a.', line 4: 'x': not a number; correct it, or leave the cell empty if the "
        "value is missing",
        "models.csv: gap empty: has no value in any row; name another column",
        "models.csv: column loss: line 3: 'inf': infinite; leave the cell empty if the value is missing, or give a "
        "finite number",
        "models.csv: measures nope: no such column; known: lr, gap, loss, m, empty",
        "models.csv: column m: line 2: 'True': a boolean, not a number; write 0 or 1 if it is meant as one, or leave "
        "the column out",
        "models.csv: flip gap: is not among the measures; known: m, nope, lr",
        "models.csv: column lr: has several roles: axes, measures; give it one",
    ]


@pytest.mark.parametrize(
    ("table", "roles", "message"),
    [
        (good(), Roles([], ["gap"]), "axes: is missing"),
        (good(), Roles(["lr"], []), "gap: is missing"),
        (good(), Roles(["seed"], ["gap"]), "has only seed"),
        (good(), Roles(["lr", "lr"], ["gap"]), "axes lr: is named twice"),
        (good(), Roles(["lr"], ["gap"], measures=[]), "measures: names no column"),
        (raw(lr=["1"], gap=["1"], m=["1"]), Roles(["lr"], ["gap"]), "rows: 1 model; a ranking needs at least two"),
        (raw(lr=[], gap=[], m=[]), Roles(["lr"], ["gap"]), "rows: 0 models"),
        (raw(lr=["1", "2"], gap=["1", "2"]), Roles(["lr"], ["gap"]), "no numeric column is left"),
        (raw(trial_id=["1", "2"], gap=["1", "2"], m=["1", "2"]), Roles(["trial_id"], ["gap"]), "rename the column"),
        (raw(lr=["1", "2"], train_loss=["1", "2"], m=["1", "2"]), Roles(["lr"], ["train_loss"]), "rename the column"),
    ],
)
def test_single_problems(table: RawTable, roles: Roles, message: str) -> None:
    assert any(message in problem for problem in problems(table, roles))


def test_many_bad_cells_are_counted_after_the_first_three() -> None:
    cells: list[object] = ["1", *["bad"] * 7]
    (problem,) = problems(raw(lr=["1"] * 8, gap=cells, m=["1"] * 8), Roles(["lr"], ["gap"]))
    assert "line 3: 'bad', line 4: 'bad', line 5: 'bad' and 4 more cells: not a number" in problem


def test_columns_of_the_same_name_are_refused() -> None:
    frame = pd.DataFrame([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]], columns=["lr", "gap", "gap"])
    assert "the table: column gap: several columns have this name; rename all but one" in problems(
        of_frame(frame), Roles(["lr"], ["gap"])
    )


@given(
    st.lists(st.tuples(*[st.floats(allow_infinity=False) for _ in range(3)]), min_size=2, max_size=12),
    st.permutations(["lr", "gap", "m"]),
)
def test_a_frame_and_its_csv_are_the_same_table_whatever_the_order_of_columns(
    rows: list[tuple[float, float, float]], order: list[str]
) -> None:
    frame = pd.DataFrame(rows, columns=["lr", "gap", "m"])
    written = {name: ["" if np.isnan(value) else repr(value) for value in frame[name].tolist()] for name in order}
    roles = Roles(["lr"], ["gap"], measures=["m"])
    found: list[ModelTable | int] = []
    for table in (of_frame(frame), raw(**written)):  # type: ignore[arg-type]
        try:
            found.append(check_table(table, roles, "t"))
        except TableError as error:
            found.append(len(error.problems))
    first, second = found
    if isinstance(first, int) or isinstance(second, int):
        assert first == second
        return
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.trials["gap"], second.trials["gap"])
    assert first.trials["lr"].isna().tolist() == second.trials["lr"].isna().tolist()

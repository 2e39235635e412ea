"""Optimizers compared in the layout of the paper's table 1, by their test accuracies at the last epoch."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis import schema
from analysis.report.grid_axes import OPTIMIZER, SEED
from analysis.report.published import printed_accuracy
from analysis.report.wording import OPTIMIZER_NAMES

TASK = ["dataset", "model"]  # the columns that identify a row of table 1
VALIDATION = "validation"  # training images held out; if their number varies, each number is a separate task
LAYOUT = (
    "Test accuracy at the last epoch, mean ± standard error over seeds, the highest in bold where seeds are repeated"
)
PRINTED = "; in brackets the value that the paper prints, with ? for digits that can't be read with certainty"


@dataclass(frozen=True)
class Score:
    """A cell of table 1."""

    mean: float  # test accuracy in percent
    stderr: float  # of the mean over seeds; NaN for a single seed
    best: bool  # whether it is the highest of its row, where several methods have several seeds
    printed: str  # the paper's value; empty if it has none

    def __str__(self) -> str:
        return f"{self.mean:.2f}" if np.isnan(self.stderr) else f"{self.mean:.2f} ± {self.stderr:.2f}"


@dataclass(frozen=True)
class Comparison:
    """The results of each optimizer on each data set and network."""

    methods: pd.DataFrame  # one row for each (task, optimizer), with the columns that `compare_optimizers` describes
    task: list[str]  # the columns that identify a task

    @property
    def repeated(self) -> bool:
        """Whether several methods of a task have several seeds, so that their difference has a standard error."""
        return any((group["seeds"] > 1).sum() > 1 for _, group in self._by_task())

    @cached_property
    def table(self) -> pd.DataFrame:
        """Table 1's layout: a row for each task, a column for each method with its `Score`, and the number of seeds."""
        present = _ordered(self.methods[OPTIMIZER])
        rows = []
        for _, group in self._by_task():
            scores = _scores(group)
            task = {name: group[name].iloc[0] for name in self.task}
            rows.append({**task, **{name: scores.get(name) for name in present}, "seeds": _span(group["seeds"])})
        return pd.DataFrame(rows)

    @property
    def note(self) -> str:
        """How the numbers were obtained: the choice of hyperparameters, and which method leads by how much."""
        printed = PRINTED if (self.methods["printed"] != "").any() else ""
        return " ".join([f"{LAYOUT}{printed}.", self._choice(), *self._sentences()])

    def _by_task(self) -> Iterable[tuple[tuple[object, ...], pd.DataFrame]]:
        return self.methods.groupby(self.task, sort=False, dropna=False)

    def _choice(self) -> str:
        tuned = self.methods[self.methods["configurations"] > 1]
        if tuned.empty:
            return "Each method has one configuration, so nothing was selected."
        validated = tuned["validation_accuracy"].notna()
        found = []
        if validated.any():
            found.append(
                f"Of {_span(tuned[validated]['configurations'])} configurations of a method, the one of best mean "
                "validation accuracy is shown; test images were not used to select it."
            )
        if not validated.all():
            found.append(
                "Without validation images, nothing was selected: the mean over all "
                f"{_span(tuned[~validated]['configurations'])} configurations of a method is shown."
            )
        if any(group["configurations"].nunique() > 1 for _, group in self._by_task()):
            found.append("The methods were tuned unequally.")
        return " ".join(found)

    def _sentences(self) -> list[str]:
        """For each task the selected configurations, and the lead of the best method over the next."""
        sentences = []
        for _, group in self._by_task():
            task = " ".join(str(group[name].iloc[0]) for name in self.task)
            texts = [text for text in (_shown(group), _lead(group)) if text]
            sentences += [f"{task}: {' '.join(texts)}"] if texts else []
        return sentences


def compare_optimizers(trials: pd.DataFrame) -> Comparison | None:
    """The test accuracy of each optimizer on each data set and network; None if no task has several optimizers.

    If every trial of a task has a validation accuracy, each method is shown at its configuration of best mean
    validation accuracy over seeds, among those with the most seeds. Otherwise it is shown at the mean over
    configurations, for each seed. The test accuracy selects nothing. A seed gives the same initial weights to every
    method, and at equal batch size the same order of the images, so differences are paired over seeds.

    Columns of `methods`: dataset, model, optimizer, seeds, test_accuracy (last epoch, mean over seeds) with stderr,
    behind (the row's best method minus this one, over the seeds that both have) with behind_stderr, best_epoch (highest
    test accuracy of any epoch: optimistic), printed (the paper's value), validation_accuracy, configurations
    (their number), shown_at (the selected values of the hyperparameters that vary), gap_loss. Accuracies in percent.

    Args:
        trials: one row a trial, with its parameters and generalization quantities.
    """
    if OPTIMIZER not in trials or not set(TASK) <= set(trials):
        return None
    varies = VALIDATION in trials and trials[VALIDATION].nunique(dropna=False) > 1
    columns = [*TASK, VALIDATION] if varies else TASK
    tasks = (task for _, task in trials.groupby(columns, sort=False, dropna=False))
    rows = [row for task in tasks if task[OPTIMIZER].nunique() > 1 for row in _task_rows(task, columns)]
    return Comparison(pd.DataFrame(rows), columns) if rows else None


def _task_rows(trials: pd.DataFrame, columns: list[str]) -> list[dict[str, object]]:
    """The methods of one task, in the paper's order."""
    selecting = schema.VALIDATION_ACCURACY in trials and bool(trials[schema.VALIDATION_ACCURACY].notna().all())
    task = {name: trials[name].iloc[0] for name in columns}
    methods = {name: _method(trials[trials[OPTIMIZER] == name], selecting) for name in _ordered(trials[OPTIMIZER])}
    by_seed = {name: 100 * shown.groupby(SEED)[schema.TEST_ACCURACY].mean() for name, (shown, _) in methods.items()}
    best = max(by_seed, key=lambda name: float(by_seed[name].mean()))
    rows: list[dict[str, object]] = []
    for name, (shown, tried) in methods.items():
        behind = (by_seed[best] - by_seed[name]).dropna() if name != best else pd.Series(dtype=float)
        rows.append(
            {
                **task,
                OPTIMIZER: name,
                "seeds": len(by_seed[name]),
                "test_accuracy": by_seed[name].mean(),
                "stderr": by_seed[name].sem(),
                "behind": behind.mean(),
                "behind_stderr": behind.sem(),
                "best_epoch": 100 * _mean(shown, schema.TEST_ACCURACY_BEST),
                "printed": printed_accuracy(task["dataset"], task["model"], name),
                "validation_accuracy": 100 * _mean(shown, schema.VALIDATION_ACCURACY),
                **tried,
                "gap_loss": shown[schema.GAP_LOSS].mean(),
            }
        )
    return rows


def _method(trials: pd.DataFrame, selecting: bool) -> tuple[pd.DataFrame, dict[str, object]]:
    """The trials whose mean is shown for a method, its number of configurations, and the one selected."""
    varying = _hyperparameters(trials)
    configurations = trials.groupby(varying, dropna=False).ngroup() if varying else pd.Series(0, index=trials.index)
    shown = trials[configurations == _chosen(trials, configurations)] if selecting else trials
    shown_at = ", ".join(f"{name} {_text(shown[name].iloc[0])}" for name in varying) if selecting else ""
    return shown, {"configurations": configurations.nunique(), "shown_at": shown_at}


def _shown(methods: pd.DataFrame) -> str:
    """`SGD at learning_rate 0.05; SAM at rho 0.1.`; empty if nothing was selected."""
    pairs = zip(methods[OPTIMIZER], methods["shown_at"], strict=True)
    found = [f"{OPTIMIZER_NAMES.get(name, name)} at {values}" for name, values in pairs if values]
    return f"{'; '.join(found)}." if found else ""


def _lead(methods: pd.DataFrame) -> str:
    """`SAM leads ASAM by 0.28 ± 0.25 points.`; empty if no other method shares several seeds with the best."""
    paired = methods[methods["behind"].notna() & methods["behind_stderr"].notna()]
    if paired.empty:
        return ""
    best, other = methods.iloc[methods["test_accuracy"].argmax()], paired.iloc[paired["behind"].argmin()]
    names = [OPTIMIZER_NAMES.get(row[OPTIMIZER], row[OPTIMIZER]) for row in (best, other)]
    lead, stderr = other["behind"], other["behind_stderr"]
    return f"{names[0]} leads {names[1]} by {lead:.2f} ± {stderr:.2f} points, paired over seeds."


def _chosen(group: pd.DataFrame, configurations: pd.Series) -> object:
    """The configuration of best mean validation accuracy, among those with the most seeds."""
    by_configuration = group.groupby(configurations)
    seeds, accuracy = by_configuration[SEED].nunique(), by_configuration[schema.VALIDATION_ACCURACY].mean()
    return accuracy[seeds == seeds.max()].idxmax()


def _hyperparameters(group: pd.DataFrame) -> list[str]:
    """The parameters that vary within a method, in the order of the columns."""
    known = {*schema.MEASUREMENT_COLUMNS, *TASK, OPTIMIZER, SEED, VALIDATION}
    candidates = [name for name in group.columns if name not in known and not schema.is_generalization(name)]
    return [name for name in candidates if group[name].nunique(dropna=False) > 1]


def _scores(methods: pd.DataFrame) -> dict[str, Score]:
    """The cells of one row of table 1, by optimizer."""
    means = methods["test_accuracy"]
    repeated = (methods["seeds"] > 1).sum() > 1  # a single run of each shows no order
    best = (means == means.max()) & repeated
    columns = (methods[OPTIMIZER], means, methods["stderr"], best, methods["printed"])
    return {name: Score(*cell) for name, *cell in zip(*columns, strict=True)}


def _ordered(optimizers: pd.Series) -> list[str]:
    """Each optimizer once: the paper's in its order, then others."""
    found = list(optimizers.unique())
    return sorted(found, key=[*OPTIMIZER_NAMES, *found].index)


def _mean(trials: pd.DataFrame, column: str) -> float:
    return float(trials[column].mean()) if column in trials else np.nan


def _span(counts: pd.Series) -> str:
    """`5`, or `1 to 5`."""
    low, high = counts.min(), counts.max()
    return f"{low}" if low == high else f"{low} to {high}"


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

"""Tables for readers: headers with explanations and formatted numbers, as table cells, Markdown and LaTeX."""

import math
from dataclasses import dataclass

import pandas as pd

from analysis.inert import for_latex, for_markdown
from analysis.measures import MEASURES
from analysis.report.optimizers import Score
from analysis.report.wording import OPTIMIZER_NAMES, layer_name, signed

# Column → (header, what it means).
WORDS: dict[str, tuple[str, str]] = {
    "sweep": ("sweep", "the sweep that the row is about"),
    "target": ("target", "what the measures are ranked against"),
    "measure": ("measure", "what is measured; larger means sharper"),
    "parameter": ("order or radius", "the order α of the entropy, or the radius ρ or σ of a perturbation"),
    "layer": ("layer", "a weight tensor, all of them together, or the best layer"),
    "tau_b": ("τ", "Kendall's τ_b with the generalization gap; positive supports the measure"),
    "ci_low": ("from", "lower end of the 95 % interval: bootstrap over trials"),
    "ci_high": ("to", "upper end of the 95 % interval"),
    "stderr": ("std. error", "standard error"),
    "p_value": ("p", "permutation test; if an order or layer was chosen, each permutation repeats the choice"),
    "p_adjusted": ("adjusted p", "the chance that, without association, any declared column has such a strong τ"),
    "p_holm": ("Holm's p", "p adjusted for the number of comparisons in the table"),
    "tau_a": ("τ_a", "τ with ties in the denominator, as in the paper"),
    "n": ("N", "trials with a value"),
    "ties": ("ties", "pairs of trials tied in measure or gap"),
    "missing": ("missing", "trials without a value"),
    "noise": (
        "noise",
        "standard error of the measure over its spread between trials; below 0.1 no ranking changes",
    ),
    "attenuation": ("shrinks τ to", "the share of a small τ that remains with this noise"),
    "choices": ("choices", "orders (and layers) to choose from"),
    "nested_tau": ("nested τ", "each pair of trials is ranked by the order that is best on all other trials"),
    "paper_tau": ("best τ", "the paper's protocol: the highest τ over all choices; optimistic"),
    "paper_parameter": ("at order", "the order or radius with the best τ"),
    "paper_layer": ("on layer", "the layer with the best τ"),
    "other": ("against", "the measure of the comparison, on the same layer and trials"),
    "other_parameter": ("its radius", "the radius or order of the other measure"),
    "tau": ("τ", "of the measure"),
    "other_tau": ("its τ", "of the other measure"),
    "difference": ("difference", "τ of the measure minus τ of the other, paired"),
    "granulated": ("Ψ", "granulated coefficient: mean over axes of τ along an axis with the others fixed"),
    "information": ("K", "smallest normalized information given up to two axes; ignores the direction"),
    "sign_error_mean": ("sign error", "share of single changes whose direction the measure gets wrong"),
    "sign_error_90": ("90 %", "90th percentile of the sign error over changes"),
    "sign_error_max": ("worst", "largest sign error over changes"),
    "environments": ("changes", "changes of one axis whose gaps differ significantly"),
    "with_training_loss": ("τ with training loss", "how much the measure reflects how far a network was trained"),
    "given": ("given", "what is held fixed"),
    "estimable": ("estimable", "whether enough of the measure and the gap remains to correlate"),
    "given_tau": ("τ given it", "partial τ of normal scores: of what a spline in the given quantities leaves of both"),
    "given_low": ("from", "lower end of its 95 % interval"),
    "given_high": ("to", "upper end of its 95 % interval"),
    "explained": ("explained", "share of the measure's variance that the given quantities predict; at most 0.75"),
    "gap_explained": ("of the gap", "the same share of the gap's variance; at most 0.75"),
    "effective": ("effective", "configurations that remain for the correlation; at least 6"),
    "kendall_partial": (
        "Kendall's partial τ",
        "given the training loss, as in the literature; part of the confounding remains in it",
    ),
    "axis": ("axis", "whose groups are compared within and between"),
    "p_pooled": ("its p", "adjusted p of the pooled τ"),
    "within_tau": ("τ within", "over pairs of trials of one group; the interval is of this one"),
    "between_tau": ("τ between", "over pairs of trials of two groups"),
    "contrast": ("contrast", "pooled τ minus τ within groups"),
    "contrast_low": ("from", "lower end of the contrast's 95 % interval"),
    "contrast_high": ("to", "upper end of the contrast's 95 % interval"),
    "contrast_p": ("its p", "jackknife t-test that the contrast is 0"),
    "p_differ": ("differ", "p of Welch's test that all groups have one τ, adjusted for the number of axes"),
    "p_opposed": ("opposed", "p of Gail and Simon's test that no two groups have opposed signs"),
    "p_opposed_holm": ("Holm's p", "the same, adjusted for the number of rows"),
    "reading": ("reading", "how the pooled τ is to be read"),
    "p_as_strong": (
        "as strong",
        "one-sided paired p that the column is as strong as the strongest; above 0.025 they are tied",
    ),
    "num_configurations": ("configurations", "configurations of hyperparameters with a value"),
    "chance_tau": ("by chance", "mean of the best τ with reassigned gaps"),
    "chance_matches": ("by chance", "mean number of matches with reassigned gaps"),
    "within_strata": ("within thirds", "τ among trials in the same third of the training loss"),
    "low_loss": ("lowest third", "τ among the trials of lowest training loss"),
    "middle_loss": ("middle third", "τ among the trials in the middle"),
    "high_loss": ("highest third", "τ among the trials of highest training loss"),
    "multi-cluster": (
        "multi-cluster",
        "networks whose spectrum on this layer has several clusters: predicts an order below 1",
    ),
    "single-cluster": (
        "single-cluster",
        "networks whose spectrum on this layer has one: predicts an order above 1",
    ),
    "not zero-dominant": (
        "neither",
        "networks whose spectrum here is not concentrated at 0: predicts nothing",
    ),
    "best_order": ("best order", "the order of highest τ on this layer"),
    "matches": ("matches", "networks whose spectrum predicts the side of 1 on which the best order lies"),
    "mismatches": ("mismatches", "networks whose spectrum predicts the other side"),
    "left_out": ("left out", "networks without a prediction, or without a best order"),
    "dataset": ("dataset", ""),
    "model": ("network", ""),
    "optimizer": ("optimizer", ""),
    "validation": ("held out", "training images held out for validation"),
    "seeds": ("seeds", "runs from different initial weights"),
    "test_accuracy": ("test accuracy, %", "at the last epoch, mean over seeds"),
    "behind": ("below best", "points of accuracy below the best method, paired over seeds"),
    "behind_stderr": ("its error", "standard error of that difference"),
    "best_epoch": ("best epoch, %", "highest test accuracy of any epoch, chosen by the test images: optimistic"),
    "validation_accuracy": ("validation, %", "accuracy on the images by which the hyperparameters were chosen"),
    "configurations": ("tried", "number of configurations of hyperparameters"),
    "shown_at": ("shown at", "the configuration of best validation accuracy; empty if nothing was selected"),
    "gap_loss": ("gap", "mean of test − training loss"),
    "printed": ("printed, %", "the paper's table 1; ? marks digits that can't be read with certainty"),
}
SIGNED = {
    *("tau_b", "ci_low", "ci_high", "tau_a", "nested_tau", "paper_tau", "tau", "other_tau", "difference", "granulated"),
    *("with_training_loss", "given_tau", "given_low", "given_high", "kendall_partial", "within_strata"),
    *("low_loss", "middle_loss", "high_loss", "chance_tau", "within_tau", "between_tau"),
    *("contrast", "contrast_low", "contrast_high"),
}
PERCENTAGES = {"test_accuracy", "best_epoch", "validation_accuracy", "behind", "behind_stderr"}
SHARES = {"stderr", "noise", "attenuation", "information", "sign_error_mean", "sign_error_90", "sign_error_max"}
SHARES |= {"explained", "gap_explained"}
PROBABILITIES = {"p_value", "p_adjusted", "p_holm", "p_as_strong", "p_pooled", "contrast_p"}
PROBABILITIES |= {"p_differ", "p_opposed", "p_opposed_holm"}


@dataclass(frozen=True)
class TableCell:
    """A cell of a table: its text, and the key by which it is sorted."""

    text: str
    key: float | str  # a number in columns of numbers; missing ones sort last
    numeric: bool
    bold: bool = False
    beside: str = ""  # follows the text, never bold


def header(column: str) -> str:
    """The header of a column."""
    return WORDS[column][0] if column in WORDS else OPTIMIZER_NAMES.get(column, column)


def explanation(column: str) -> str:
    """The meaning of a column; empty if its name is enough."""
    return WORDS[column][1] if column in WORDS else ""


def cell(column: str, value: object) -> TableCell:
    """The table cell of one value."""
    if isinstance(value, Score):
        return TableCell(str(value), value.mean, True, value.best, f" ({value.printed})" if value.printed else "")
    if isinstance(value, str):
        text = MEASURES[value].title if column in ("measure", "other") and value in MEASURES else value
        text = layer_name(value) if column in ("layer", "paper_layer") else text
        text = OPTIMIZER_NAMES.get(value, value) if column == "optimizer" else text
        return TableCell(text, text.lower(), numeric=False)
    if isinstance(value, bool):
        return TableCell("yes" if value else "no", float(value), numeric=False)
    number = float(value) if isinstance(value, int | float) else math.nan
    if not math.isfinite(number):
        return TableCell("–" if column not in ("parameter", "other_parameter") else "", math.inf, numeric=True)
    return TableCell(_number(column, number), number, numeric=True)


def _number(column: str, value: float) -> str:
    if column in SIGNED or column.startswith(("along ", "τ of ")):
        return signed(value)
    if column in PERCENTAGES:
        return f"{value:.2f}"
    if column in PROBABILITIES:
        return "< 0.001" if value < 0.001 else f"{value:.3f}"
    if column in SHARES:
        return f"{value:.3f}"
    if value == int(value) and abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.3g}".replace("-", "−")


def rows(table: pd.DataFrame) -> list[list[TableCell]]:
    """All cells of a table."""
    return [[cell(str(column), value) for column, value in row.items()] for row in table.to_dict("records")]


def numeric(table: pd.DataFrame) -> list[bool]:
    """Whether each column is right-aligned, which those without text are."""
    return [not any(isinstance(value, str) for value in table[column]) for column in table.columns]


def markdown(table: pd.DataFrame) -> str:
    """The table in Markdown."""
    lines = [[for_markdown(header(str(column))) for column in table.columns]]
    lines.append(["---:" if flag else "---" for flag in numeric(table)])
    for row in rows(table):
        texts = [for_markdown(entry.text) for entry in row]
        besides = [for_markdown(entry.beside) for entry in row]
        bold = [f"**{text}**" if entry.bold else text for text, entry in zip(texts, row, strict=True)]
        lines.append([text + beside for text, beside in zip(bold, besides, strict=True)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def latex(table: pd.DataFrame, caption: str, label: str) -> str:
    """The table in LaTeX, for the package booktabs."""
    first = [for_latex(header(str(column))) for column in table.columns]
    lines = [" & ".join(line) + r" \\" for line in [first, *([_latex(entry) for entry in row] for row in rows(table))]]
    columns = "".join("r" if flag else "l" for flag in numeric(table))
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{for_latex(caption)}}}\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            *(r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"),
            *(r"\end{tabular}", r"\end{table}"),
        ]
    )


def _latex(entry: TableCell) -> str:
    text = for_latex(entry.text)
    return (rf"\textbf{{{text}}}" if entry.bold else text) + for_latex(entry.beside)

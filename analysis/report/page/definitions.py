"""What a reader may look up: the definition of every measure in the report, and a glossary."""

from collections.abc import Iterable
from dataclasses import dataclass

from analysis.bibliography import cited
from analysis.measures import MEASURES, title_of


@dataclass(frozen=True)
class Definition:
    """A measure as it is defined."""

    key: str  # in sweep files
    title: str
    summary: str
    formula: str  # empty for a measure of the reader's own
    source: str


GLOSSARY: tuple[tuple[str, str], ...] = (
    ("trial", "one network, trained and measured; it has one combination of the hyperparameters and one seed"),
    ("configuration", "one combination of the hyperparameters; its seeds are resampled together"),
    ("column", "one measure, at one order or radius, of one layer: what is ranked against the gap"),
    ("declared column", "at an order or radius that was fixed before any τ was computed: those that are tested"),
    ("gap", "test loss minus training loss, at the end of training; larger means worse generalization"),
    (
        "Kendall's τ",
        "of all pairs of trials, the share that measure and gap order alike minus the share that they order "
        "contrarily; pairs tied in either do not count (τ_b). +1: the same order, −1: the contrary order",
    ),
    ("supports, opposes", "τ > 0: sharper networks have the larger gap, as theory says; τ < 0: the contrary"),
    ("significant", "adjusted p < 0.05: among all declared columns so strong a τ has a chance of less than 5 %"),
    ("not resolved", "the data allow both answers; more configurations may decide"),
    (
        "beyond the training loss",
        "what is left when measure and gap are freed from what the training loss predicts",
    ),
    ("order α", "of the Rényi entropy: below 1 small eigenvalues count more, above 1 large ones"),
    ("Rényi sharpness", "minus the Rényi entropy of a Hessian's eigenvalues: large if few eigenvalues hold the trace"),
    ("layer", "a weight tensor of two or more dimensions; `all layers` is the Hessian of all trainable weights"),
    ("interval", "95 % bootstrap interval over configurations"),
)


def definitions(measures: Iterable[str]) -> list[Definition]:
    """The definitions of some measures, each once, in their order."""
    found = []
    for key in dict.fromkeys(measures):
        record = MEASURES.get(key)
        if record is None:
            found.append(Definition(key, title_of(key), "a measure of your own code or table", "", ""))
        else:
            found.append(Definition(key, record.title, record.summary, record.formula, cited(record.source)))
    return found

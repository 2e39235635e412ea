"""The rows of a measurement together: as text, as a table, as a picture."""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from analysis.measures import headline, symbol_of, title_of
from analysis.presentation import html_table, number, text_table, with_error
from analysis.schema import ALL_LAYERS, Measurement

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

HEAD = ("measure", "layer", "parameter", "value")


class Measurements(list[Measurement]):
    """Rows of measures; a list that prints and renders as a table."""

    def __repr__(self) -> str:
        return text_table(HEAD, self._shown()) + self._rest()

    def _repr_html_(self) -> str:
        return html_table(HEAD, self._shown(), "larger means sharper") + self._rest()

    def _shown(self) -> list[tuple[str, ...]]:
        return [_cells(row) for row in headline(self)]

    def _rest(self) -> str:
        more = len(self) - len(headline(self))
        return f"\n{more} rows at other parameters: see .to_frame()" if more else ""

    def to_frame(self) -> "pd.DataFrame":
        """A row for each. Columns: layer, measure, parameter, value, stderr, reason."""
        import pandas as pd

        columns = ["layer", "measure", "parameter", "value", "stderr", "reason"]
        return pd.DataFrame([asdict(row) for row in self], columns=columns)

    def plot(self) -> "Figure":
        """A panel for each measure: over its parameter, a line a layer; without one, a dot a layer."""
        from matplotlib import pyplot as plt

        measures = list(dict.fromkeys(row.measure for row in self if row.value is not None))
        columns = max(1, min(3, len(measures)))
        lines = max(1, math.ceil(len(measures) / columns))
        figure, axes = plt.subplots(
            lines, columns, figsize=(3.4 * columns, 2.7 * lines), layout="constrained", squeeze=False
        )
        for panel in axes.flat[len(measures) :]:
            panel.set_visible(False)
        for panel, measure in zip(axes.flat, measures, strict=False):
            rows = [row for row in self if row.measure == measure and row.value is not None]
            panel.set_title(title_of(measure), fontsize=9)
            if any(row.parameter is not None for row in rows):
                for layer in dict.fromkeys(row.layer for row in rows):
                    points = sorted((row.parameter or 0.0, row.value or 0.0) for row in rows if row.layer == layer)
                    panel.plot(*zip(*points, strict=True), marker=".", linewidth=1, label=layer)
                panel.set_xlabel(symbol_of(measure) or "parameter")
                panel.legend(fontsize=6, frameon=False)
            else:
                panel.plot([row.value for row in rows], range(len(rows)), "o", markersize=3)
                panel.set_yticks(range(len(rows)), [row.layer for row in rows], fontsize=6)
                panel.invert_yaxis()
        plt.close(figure)  # a notebook shows what is returned; an open figure would be shown a second time
        return figure


def _cells(row: Measurement) -> tuple[str, ...]:
    value = f"missing: {row.reason}" if row.value is None else with_error(row.value, row.stderr)
    return row.measure, "all" if row.layer == ALL_LAYERS else row.layer, number(row.parameter), value

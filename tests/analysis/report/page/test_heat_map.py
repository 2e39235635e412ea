import dataclasses

from analysis.report.conclusion import judge
from analysis.report.evidence import Evidence
from analysis.report.page.heat_map import heat_map


def test_a_cell_for_each_declared_column_and_bold_where_it_is_significant(evidence: Evidence) -> None:
    found = heat_map(evidence)
    assert found is not None
    assert found.layers == ["conv", "fc", "all layers"]
    cells = {(name, layer): cell for name, row in found.rows for layer, cell in zip(found.layers, row, strict=True)}
    assert sum(cell is not None for cell in cells.values()) == evidence.matrix.headline.sum()
    assert sum(cell is not None and cell.sure for cell in cells.values()) == len(judge(evidence).significant)
    strongest = cells["Rényi sharpness α = 1.5", "fc"]
    assert strongest is not None
    assert (strongest.text, strongest.supports, strongest.sure) == ("+0.63", True, True)
    assert cells["SAM sharpness ρ = 0.05", "fc"] is None
    assert "adjusted p = 0.0" in strongest.said


def test_layers_stand_there_in_words(evidence: Evidence) -> None:
    matrix = dataclasses.replace(evidence.matrix, words={"fc.weight": "classifier, 8 inputs"})
    found = heat_map(dataclasses.replace(evidence, matrix=matrix))
    assert found is not None
    assert found.layers == ["conv", "classifier, 8 inputs", "all layers"]

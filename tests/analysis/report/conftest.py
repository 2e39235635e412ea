"""What tests of the report share: one simulated sweep with its evidence, and small pictures."""

from collections.abc import Iterator

import pytest

from analysis.report.evidence import Evidence, gather
from analysis.results.sweep import SweepResults
from tests.analysis.simulated import simulated_sweep
from tests.small_pictures import draw_one_kind


@pytest.fixture(autouse=True, scope="module")
def small_pictures() -> Iterator[None]:
    """SVG alone, of few pixels: one test of the figures draws every kind of file."""
    with pytest.MonkeyPatch.context() as patch:
        draw_one_kind(patch)
        yield


@pytest.fixture(scope="session")
def results() -> SweepResults:
    """The results of a sweep in which Rényi sharpness of fc.weight predicts the gap."""
    return simulated_sweep(spectra=True)


@pytest.fixture(scope="session")
def evidence(results: SweepResults) -> Evidence:
    return gather(results)

import numpy as np
import pytest

from analysis.report.evidence import Evidence
from analysis.report.figures.spectra import layer_spectrum, spectra_figure, typical_trial
from analysis.results.sweep import SweepResults
from analysis.spectrum.quadrature import SpectralQuadrature


def test_a_density_integrates_to_one_and_knows_its_kind() -> None:
    spectrum = SpectralQuadrature.from_eigenvalues(np.r_[2.0, 1.9, 1.0, 0.98, np.full(40, 1e-3)], dim=100)
    found = layer_spectrum("fc.weight", spectrum)
    assert found is not None
    assert np.trapezoid(found.density, found.eigenvalues) == pytest.approx(1, abs=0.02)
    assert found.kind.value == "multi-cluster"
    assert layer_spectrum("dead", SpectralQuadrature.from_eigenvalues([0.0], dim=3)) is None


def test_the_trial_shown_is_chosen_by_its_training_loss(evidence: Evidence, results: SweepResults) -> None:
    trials = evidence.matrix.trials
    chosen = trials[trials["trial_id"] == typical_trial(evidence, results.spectra)].iloc[0]
    assert (trials["train_loss"] < chosen["train_loss"]).sum() == 15
    assert spectra_figure(evidence, {}) is None

import numpy as np
import pytest

from analysis.report.evidence import Evidence
from analysis.report.figures.spectra import draw_spectra, layer_spectrum, spectra_figure, typical_trial
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


def test_a_panel_says_what_the_rule_saw(evidence: Evidence, results: SweepResults) -> None:
    spectrum = SpectralQuadrature.from_eigenvalues(np.r_[-2.0, 1.9, 1.0, 0.98, np.full(40, 1e-3)], dim=100)
    found = layer_spectrum("fc.weight", spectrum, "classifier, 8 inputs")
    assert found is not None
    np.testing.assert_allclose(found.gaps, [[5e-4, 0.49], [0.49, 0.95]], atol=0.011)
    assert found.apart == pytest.approx(4)
    np.testing.assert_allclose(found.largest, [2.0, 1.9, 0.99], rtol=1e-9)
    ax = draw_spectra([found]).axes[0]
    assert ax.get_title() == "classifier, 8 inputs\nmulti-cluster; 4 beyond the gap\n|λ|: 2, 1.9, 0.99 …"
    assert len(ax.patches) == 4  # two gaps, each on both sides of 0
    drawn = spectra_figure(evidence, results.spectra)
    assert drawn is not None
    assert "in 0 of 30 cases" in drawn.caption
    assert "no better than chance" in drawn.caption

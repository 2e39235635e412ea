from analysis.report.evidence import Evidence
from analysis.report.page.methods import methods
from tests.analysis.report.page.study import STUDY


def test_every_number_is_a_setting_or_a_count_of_the_sweep(evidence: Evidence) -> None:
    text = " ".join(methods(STUDY, evidence).sentences)
    assert "We trained 30 networks" in text
    assert "on 123 training samples (a class-stratified draw, seed 0) at 2 orders (from 0.5 to 1.5)" in text
    assert "to a tolerance of 0.02 nats and with at most 1000 matrix-vector products a block" in text
    assert "Hessian trace (Hutchinson 1989); SAM sharpness (Foret et al. 2021)" in text
    assert "1 440 relabelings" in text
    assert "commit 0123456789ab" in text


def test_what_is_cited_is_in_the_bibtex_and_nothing_twice(evidence: Evidence) -> None:
    found = methods(STUDY, evidence)
    for key in ("zhang2025renyi", "foret2021sharpness", "hutchinson1989stochastic", "holm1979simple"):
        assert found.bibtex.count(f"{{{key},") == 1
    assert "kwon2021asam" not in found.bibtex

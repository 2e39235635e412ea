"""The examples in the docstrings of public names run, and give what they say."""

import doctest
from typing import Any

import pytest

import renyi

NAMES = [
    "BinaryCrossEntropy",
    "CrossEntropy",
    "MeanSquaredError",
    "SpectralQuadrature",
    "block_operator",
    "check_invariance",
    "kendall_tau",
    "layer_spectra",
    "measure",
    "renyi_entropy",
    "weight_layers",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_public_name_runs(name: str) -> None:
    public: Any = getattr(renyi, name)
    tests = [test for test in doctest.DocTestFinder(recurse=False).find(public, name) if test.examples]
    assert tests
    for test in tests:
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        assert runner.run(test).failed == 0

"""The numbers of a sweep against an independent way to the same ones: the dense Hessian of a trained trial."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.func import functional_call, hessian
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner

from analysis.results.parquet import measurements_from_parquet, spectra_from_parquet
from analysis.spectrum.quadrature import renyi_entropy
from orchestrator.cli import app
from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.store.trial_store import TrialStore
from trainables.data import load_dataset
from trainables.models import build_model
from trainables.training.checkpoints import load_checkpoint

LAYERS = ("features.0.weight", "classifier.weight")


def test_layer_entropies_are_those_of_the_dense_hessian(storage: Path, sweep_file: Callable[..., Path]) -> None:
    path = sweep_file(
        ("digits_cnn", "digits_cnn_bn"),
        ("[0.05, 0.1]", "0.1"),
        ("[1e-4, 1e-3]", "1e-4"),
        ("epochs: 2", "epochs: 6"),
        ("samples: 20", f"samples: 20, layers: [{', '.join(LAYERS)}]"),
        ("estimator: paired, num_probes: 2, num_matvecs: 5", "num_probes: 24, tolerance: 0.02"),
        ("[renyi, renyi_gauss_newton, trace, lambda_max, l2]", "[renyi]"),
    )
    result = CliRunner().invoke(app, ["run", str(path), "--executor", "inline"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    config = load(str(path))
    (spec,) = expand(config)
    store = TrialStore(config.folder, config.sharpness.measurement_id)
    folder = store.measurement(spec.trial_id)

    data = load_dataset(spec.data)
    model = build_model(spec.model, data.num_classes, data.in_channels).double().eval()
    model.load_state_dict(load_checkpoint(store.trial(spec.trial_id).folder, "last.pt").model)
    indices = torch.tensor(json.loads(folder.read("samples.json")))
    inputs, targets = data.train_samples(indices)
    inputs = inputs.double()
    values = {
        (row.layer, row.parameter): row.value
        for row in measurements_from_parquet(folder.read("measurements.parquet"))
        if row.measure == "renyi"
    }
    spectra = spectra_from_parquet(folder.read("spectra.parquet"))
    for layer in LAYERS:
        parameter = model.get_parameter(layer).detach()

        def loss(flat: torch.Tensor, layer: str = layer, parameter: torch.Tensor = parameter) -> torch.Tensor:
            return cross_entropy(functional_call(model, {layer: flat.view_as(parameter)}, (inputs,)), targets)

        eigenvalues = torch.linalg.eigvalsh(hessian(loss)(parameter.flatten())).detach().numpy()
        for order in (0.5, 1.5):
            exact = renyi_entropy(eigenvalues, order)
            assert values[layer, order] == pytest.approx(-exact, abs=0.1)
        estimate = spectra[layer].trace()
        assert abs(estimate.value - eigenvalues.sum()) <= 1e-3 * eigenvalues.sum() + 4 * estimate.stderr

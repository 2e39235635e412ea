from collections.abc import Callable
from pathlib import Path

from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.study import study_of
from trainables.trial.specs import TrialSpec

SweepFile = Callable[..., Path]


def test_it_says_what_was_trained_on_what_and_how(config: SweepConfig, specs: list[TrialSpec]) -> None:
    found = study_of(config, specs)
    assert found.data == "digits: 1 000 training images, 797 test images, 8×8 pixels"
    assert found.networks == "digits_cnn: 3 350 parameters, 51 968 floating-point operations an image"
    assert found.grid[0] == "sgd × learning_rate in {0.05, 0.1} × weight_decay in {0.0001, 0.001}"
    assert "epochs 2" in found.training
    assert "batch size 64" in found.training
    assert found.command == f"renyi run {config.typed}"
    assert found.layers["features.0.weight"] == "conv 1, 3×3, 8"
    assert found.labels.keys() == {spec.trial_id for spec in specs}
    assert found.checkpoints[specs[0].trial_id] == f"{config.folder}/trials/{specs[0].trial_id}/last.pt"


def test_the_sweep_file_is_there_without_its_secrets(sweep_file: SweepFile) -> None:
    command = 'on_end: >\n  curl -H "Authorization: abc"\n  https://hooks.example/secret\n\n'
    text = f"name: small\ntracking: https://user:password@mlflow.example\n{command}notes: kept"
    path = sweep_file(("name: small", text))
    config = load(str(path))
    found = study_of(config, expand(config))
    assert found.file_name == path.name
    for secret in ("password", "Authorization", "hooks.example"):
        assert secret not in found.file_text
        assert secret not in found.interface
    assert "notes: kept" in found.file_text
    assert "on_end: left out" in found.file_text


def test_networks_with_different_layers_have_no_words_in_common(sweep_file: SweepFile) -> None:
    several = (
        "    learning_rate: [0.05, 0.1]",
        "    model: [digits_cnn, digits_cnn_bn]\n    learning_rate: [0.05, 0.1]",
    )
    config = load(str(sweep_file(several)))
    found = study_of(config, expand(config))
    assert "digits_cnn_bn" in found.networks
    assert found.layers == {}

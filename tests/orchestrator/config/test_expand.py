from collections.abc import Callable
from pathlib import Path

from orchestrator.config.expand import expand
from orchestrator.config.load import load

SweepFile = Callable[..., Path]


def test_axes_make_a_product_and_seeds_multiply_it(sweep_file: SweepFile) -> None:
    specs = expand(load(str(sweep_file(("name: small", "name: small\nseeds: [0, 1]")))))
    assert len(specs) == 2 * 2 * 2
    assert [spec.seed for spec in specs[:4]] == [0, 1, 0, 1]


def test_coupled_axes_move_together(sweep_file: SweepFile) -> None:
    coupled = "    coupled: {learning_rate: [0.05, 0.1], batch_size: [32, 64]}"
    specs = expand(load(str(sweep_file(("    learning_rate: [0.05, 0.1]", coupled)))))
    pairs = {(spec.optimizer.learning_rate, spec.training.batch_size) for spec in specs}
    assert len(specs) == 4
    assert pairs == {(0.05, 32), (0.1, 64)}


def test_model_and_training_settings_can_be_axes(sweep_file: SweepFile) -> None:
    extra = "    weight_decay: 0\n    model: [digits_cnn, digits_cnn_bn]\n    epochs: [1, 2]"
    specs = expand(load(str(sweep_file(("    weight_decay: [1e-4, 1e-3]", extra)))))
    assert len(specs) == 8
    assert {(spec.model, spec.training.epochs) for spec in specs} == {
        (model, epochs) for model in ("digits_cnn", "digits_cnn_bn") for epochs in (1, 2)
    }


def test_a_trial_that_two_sub_grids_share_runs_once(sweep_file: SweepFile) -> None:
    again = "    weight_decay: [1e-4, 1e-3]\n  - {optimizer: sgd, learning_rate: [0.1, 0.2], weight_decay: 1e-4}"
    specs = expand(load(str(sweep_file(("    weight_decay: [1e-4, 1e-3]", again)))))
    assert len(specs) == 5


def test_resources_and_paths_do_not_change_a_trial(sweep_file: SweepFile) -> None:
    small = expand(load(str(sweep_file()), storage="/a"))
    other = expand(load(str(sweep_file(("{cpus: 0.75}", "{cpus: 1}"))), storage="/b", tracking="http://c"))
    assert [spec.trial_id for spec in small] == [spec.trial_id for spec in other]

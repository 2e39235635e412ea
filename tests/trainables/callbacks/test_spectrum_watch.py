"""What a watch notes is what `layer_spectra` gives, every k epochs; the network is left as it was found."""

import pytest
import torch
from torch import Tensor, nn

from analysis.sharpness import layer_spectra
from trainables.callbacks import SpectrumWatch


@pytest.fixture
def samples() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(12, 3), torch.arange(12) % 2


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def test_it_measures_every_k_epochs(samples: tuple[Tensor, Tensor]) -> None:
    model, watch = network().train(), SpectrumWatch(*samples, every=3, layers=["2.weight"])
    assert [epoch for epoch in range(1, 8) if watch(model, epoch)] == [3, 6]
    assert list(watch.history) == [3, 6]
    assert model.training
    expected = layer_spectra(model, *samples, ["2.weight"], progress=False)["2.weight"]
    values = watch.values(6)
    assert values["2.weight/lambda_max"] == expected.lambda_max()
    assert values["2.weight/entropy_2"] == expected.renyi_entropy(2.0).value
    assert set(values) == {"2.weight/lambda_max", "2.weight/entropy_0.5", "2.weight/entropy_2"}


def test_options_reach_the_spectra(samples: tuple[Tensor, Tensor]) -> None:
    inputs, targets = samples
    watch = SpectrumWatch(inputs, torch.randn(len(targets), 2), loss="mse", curvature="gauss_newton", layers=[None])
    watch(network(), 1)
    assert watch.values(1)["all/lambda_max"] > 0


def test_the_frame_has_a_column_of_epochs(samples: tuple[Tensor, Tensor]) -> None:
    watch = SpectrumWatch(*samples, layers=["0.weight", None], orders=[1.5])
    for epoch in (1, 2):
        watch(network(), epoch)
    frame = watch.to_frame()
    assert list(frame.columns[:4]) == ["epoch", "layer", "measure", "parameter"]
    assert frame.groupby("epoch").size().to_dict() == {1: 6, 2: 6}


def test_a_zero_block_has_no_entropy_and_stops_nothing(samples: tuple[Tensor, Tensor]) -> None:
    model = network()
    nn.init.zeros_(model[2].weight)  # type: ignore[index]
    watch = SpectrumWatch(*samples, layers=["0.weight", "2.weight"])
    watch(model, 1)
    assert watch.values(1)["0.weight/lambda_max"] == 0
    assert "0.weight/entropy_2" not in watch.values(1)
    assert "2.weight/entropy_2" in watch.values(1)


def test_the_picture_has_a_panel_a_quantity_and_a_line_a_layer(samples: tuple[Tensor, Tensor]) -> None:
    watch = SpectrumWatch(*samples, layers=["0.weight", "2.weight"])
    for epoch in (1, 2):
        watch(network(), epoch)
    axes = watch.plot().axes
    assert len(axes) == 3
    assert [len(axis.lines) for axis in axes] == [2, 2, 2]
    assert axes[0].lines[0].get_xydata()[:, 0].tolist() == [1, 2]  # type: ignore[union-attr,index]


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
def test_a_period_that_is_none_is_refused(every: object) -> None:
    with pytest.raises(ValueError, match="every must be a positive whole number"):
        SpectrumWatch(torch.ones(1, 1), torch.ones(1), every=every)  # type: ignore[arg-type]

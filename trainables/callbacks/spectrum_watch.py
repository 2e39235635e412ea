"""Layer spectra every few epochs, kept by epoch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from analysis.errors import UndefinedMeasureError
from analysis.schema import ALL_LAYERS
from analysis.sharpness import layer_spectra

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from analysis.spectrum.layers import LayerSpectra


class SpectrumWatch:
    """Takes the spectra of a network's layers after every k-th epoch, always on the same samples.

    Args:
        inputs, targets: a fixed set of samples, or a loader in place of both; see `renyi.layer_spectra`.
        every: k.
        orders: of the Rényi entropies that `values` and `to_frame` give.
        options: what `renyi.layer_spectra` takes besides: `layers`, `loss`, `curvature`, `tolerance`, …

    Cost: that of `layer_spectra` each time. The network is measured in eval mode and left as it was found.

    Raises:
        ValueError: `every` is not a positive whole number.
    """

    def __init__(
        self, inputs: Any, targets: Any = None, *, every: int = 1, orders: Sequence[float] = (0.5, 2.0), **options: Any
    ) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"every must be a positive whole number of epochs; got {every!r}")
        self.inputs, self.targets, self.every, self.orders = inputs, targets, every, tuple(orders)
        self.options = {"progress": False, **options}
        self.history: dict[int, LayerSpectra] = {}  # by epoch, counted from 1

    def __call__(self, model: nn.Module, epoch: int) -> bool:
        """Note the spectra if `epoch`, counted from 1, is a multiple of k; returns whether it is."""
        if epoch % self.every:
            return False
        self.history[epoch] = layer_spectra(model, self.inputs, self.targets, **self.options)
        return True

    def values(self, epoch: int) -> dict[str, float]:
        """Largest eigenvalue and Rényi entropies (nats) at an epoch, to log: `<layer>/lambda_max`, `<layer>/entropy_2`.

        An entropy that is not defined, as of a zero block, is left out.
        """
        found: dict[str, float] = {}
        for layer, spectrum in self.history[epoch].items():
            name = layer or ALL_LAYERS
            found[f"{name}/lambda_max"] = spectrum.lambda_max()
            for order in self.orders:
                try:
                    found[f"{name}/entropy_{order:g}"] = spectrum.renyi_entropy(order).value
                except UndefinedMeasureError:
                    continue
        return found

    def to_frame(self) -> "pd.DataFrame":
        """`LayerSpectra.to_frame` of every epoch, with a column `epoch` before the others."""
        import pandas as pd

        frames = [spectra.to_frame(self.orders) for spectra in self.history.values()]
        return pd.concat(frames, keys=list(self.history), names=["epoch"]).reset_index("epoch")

    def plot(self) -> "Figure":
        """The largest eigenvalue and the entropies of each layer over the epochs, a panel each."""
        from matplotlib import pyplot as plt

        panels = {"lambda_max": "largest eigenvalue"}
        panels |= {f"entropy_{order:g}": f"Rényi entropy, α = {order:g} (nats)" for order in self.orders}
        figure, axes = plt.subplots(1, len(panels), figsize=(3.2 * len(panels), 3), layout="constrained", squeeze=False)
        values = {epoch: self.values(epoch) for epoch in self.history}
        for axis, (key, label) in zip(axes[0], panels.items(), strict=True):
            for name in dict.fromkeys(name for found in values.values() for name in found if name.endswith(f"/{key}")):
                points = [(epoch, found[name]) for epoch, found in values.items() if name in found]
                axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name.rpartition("/")[0])
            axis.set(xlabel="epoch", ylabel=label)
        axes[0][0].legend(fontsize=7, frameon=False)
        plt.close(figure)  # a notebook shows what is returned; an open figure would be shown a second time
        return figure

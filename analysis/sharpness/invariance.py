"""What rescaling layers against each other does to a network and to its measures (Rényi Sharpness, Proposition 2.2)."""

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from analysis.errors import AnalysisError
from analysis.presentation import html_table, number, text_table
from analysis.schema import Measurement
from analysis.settings import SharpnessSettings
from analysis.sharpness.batch_norm import Pair, normalized_pairs
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.layers import unwrapped, weight_layers
from analysis.sharpness.loss import LossLike, Targets, loss_in, loss_of
from analysis.sharpness.measure import measure
from analysis.sharpness.problem import pose
from analysis.sharpness.samples import Inputs, gather

if TYPE_CHECKING:
    import pandas as pd

HEAD = ("measure", "layer", "parameter", "before", "after", "relative change")


@dataclass(frozen=True)
class Drift:
    """One measurement before and after the rescaling."""

    before: Measurement
    after: Measurement

    @property
    def relative(self) -> float:
        """|after − before| / |before|; NaN where one of them has no value."""
        if self.before.value is None or self.after.value is None:
            return math.nan
        return abs(self.after.value - self.before.value) / (abs(self.before.value) or 1.0)


@dataclass(frozen=True)
class InvarianceCheck:
    """Whether the network computes the same after the rescaling, and which measures changed."""

    output_change: float  # largest change of an output over the largest output; only near 0 do drifts mean anything
    drifts: list[Drift]

    def __repr__(self) -> str:
        return f"<outputs changed by {self.output_change:.1e}>\n{text_table(HEAD, self._rows())}"

    def _repr_html_(self) -> str:
        return html_table(HEAD, self._rows(), f"after rescaling; outputs changed by {self.output_change:.1e}")

    def to_frame(self) -> "pd.DataFrame":
        """A row a measurement. Columns: layer, measure, parameter, before, after, relative."""
        import pandas as pd

        rows = [
            (d.before.layer, d.before.measure, d.before.parameter, d.before.value, d.after.value, d.relative)
            for d in self.drifts
        ]
        return pd.DataFrame(rows, columns=["layer", "measure", "parameter", "before", "after", "relative"])

    def _rows(self) -> list[list[str]]:
        return [
            [
                d.before.measure,
                d.before.layer,
                *map(number, (d.before.parameter, d.before.value, d.after.value, d.relative)),
            ]
            for d in self.drifts
        ]

    def drift(self, measure: str, parameter: float | None = None) -> dict[str, float]:
        """Relative change of one measure, by layer."""
        chosen = [d for d in self.drifts if (d.before.measure, d.before.parameter) == (measure, parameter)]
        return {d.before.layer: d.relative for d in chosen}


def check_invariance(
    model: nn.Module,
    inputs: Inputs,
    targets: Targets = None,
    factors: float | Mapping[str, float] = 2.0,
    settings: SharpnessSettings | None = None,
    *,
    measures: Iterable[str] | None = None,
    loss: LossLike | None = None,
) -> InvarianceCheck:
    """Measure a network, rescale its layers so that a ReLU network computes the same, and measure again.

    Layer Rényi sharpness, adaptive and Fisher–Rao measures of a ReLU network don't change; trace, λ_max, norms, SAM and
    the all-layer Rényi sharpness do. Activations that are not positively homogeneous (GELU) show in `output_change`.

    Args:
        model, inputs, targets, settings, measures, loss: as for `measure`; use float64 to distinguish drift from
            round-off.
        factors: by layer, as for `rescale_layers`; or one number c, for c on every layer that a batch-norm follows and
            c, 1/c in turn on the others.

    Cost: twice that of `measure`.

    Raises:
        AnalysisError: as `rescale_layers` and `measure`.

    Source: Rényi Sharpness, Proposition 2.2.

    >>> import torch, renyi
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)).double()
    >>> inputs, targets = torch.randn(8, 3).double(), torch.arange(8) % 2
    >>> check = renyi.check_invariance(model, inputs, targets, factors=2.0, measures=["trace", "fisher_rao"])
    >>> check.output_change < 1e-12, check.drift("fisher_rao")["all"] < 1e-9, check.drift("trace")["0.weight"]
    (True, True, 0.75)
    """
    model = unwrapped(model)
    settings = settings or SharpnessSettings()
    samples = gather(model, inputs, targets)
    loss = loss_in(settings.loss) if loss is None else loss_of(loss)
    problem = pose(model, samples, loss=loss)
    pairs = normalized_pairs(problem)
    if not isinstance(factors, Mapping):
        factors = _in_turn(model, float(factors), pairs)
    rescaled = rescale_layers(model, factors, pairs)
    networks = model, rescaled
    before, after = (Landscape.of(pose(each, samples, loss=loss), None).outputs() for each in networks)
    change = ((after - before).abs().max() / before.abs().max()).item()
    rows = (measure(network, samples, None, settings, measures=measures, loss=loss) for network in networks)
    return InvarianceCheck(change, [Drift(*both) for both in zip(*rows, strict=True)])


def rescale_layers(model: nn.Module, factors: Mapping[str, float], pairs: Iterable[Pair] = ()) -> nn.Module:
    """A copy with layer weights multiplied by positive factors, and biases and running statistics to match.

    A layer that a batch-norm follows: weight, bias and running mean ×c, running variance ×c²; what comes out of the
    batch-norm is the same up to its ε. The other layers are treated as a chain, in the order of registration: each bias
    is multiplied by the product of the factors so far, which must be 1 in the end.

    Args:
        factors: by name of the layer's weight; 1 for layers left out.
        pairs: layers (modules) and the batch-norms that follow them, as `normalized_pairs` gives.

    Raises:
        AnalysisError: a factor that is not positive, an unknown layer, or a product other than 1.
    """
    layers = weight_layers(model)
    for layer, factor in factors.items():
        if layer not in layers:
            raise AnalysisError(f"the model has no layer {layer!r}; its layers are {', '.join(layers)}")
        if not 0 < factor < math.inf:
            raise AnalysisError(f"the factor of {layer} must be positive; got {factor}")
    rescaled = copy.deepcopy(model)
    norms = dict(pairs)
    product = 1.0
    with torch.no_grad():
        for layer in layers:
            factor, owner = factors.get(layer, 1.0), layer.rpartition(".")[0]
            module = rescaled.get_submodule(owner)
            rescaled.get_parameter(layer).mul_(factor)
            if owner in norms:
                norm = rescaled.get_submodule(norms[owner])
                norm.get_buffer("running_mean").mul_(factor)
                norm.get_buffer("running_var").mul_(factor**2)
            else:
                product *= factor
            if isinstance(getattr(module, "bias", None), Tensor):
                module.get_parameter("bias").mul_(factor if owner in norms else product)
    if not math.isclose(product, 1.0, rel_tol=1e-9):
        raise AnalysisError(f"the factors of layers without batch-norm must multiply to 1; they give {product:g}")
    return rescaled


def _in_turn(model: nn.Module, c: float, pairs: Iterable[Pair]) -> dict[str, float]:
    normalized = {layer for layer, _ in pairs}
    layers = weight_layers(model)
    followed = [layer for layer in layers if layer.rpartition(".")[0] in normalized]
    chain = [layer for layer in layers if layer not in followed]
    in_turn = [c if position % 2 == 0 else 1 / c for position in range(len(chain) // 2 * 2)]
    return dict.fromkeys(followed, c) | dict(zip(chain, in_turn, strict=False))

"""One call of a network: its samples as arguments, and the tensor of outputs that its result holds."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.func import functional_call

from analysis.errors import AnalysisError
from analysis.life import alive
from analysis.sharpness.tree import Tree

OUTPUT_NAMES = ("logits", "out")  # Hugging Face's and torchvision's segmentation networks'


def run(model: nn.Module, state: Mapping[str, Tensor], inputs: Tree) -> Tensor:
    """The (N, …) outputs of a network with some state: a tuple of inputs is passed by position, a mapping by name.

    Raises:
        AnalysisError: the result holds no tensor of outputs, or it is not clear which.
    """
    alive()
    if isinstance(inputs, dict):
        return outputs_in(functional_call(model, dict(state), (), inputs))
    return outputs_in(functional_call(model, dict(state), inputs if isinstance(inputs, tuple) else (inputs,)))


def outputs_in(result: object) -> Tensor:
    """The tensor itself; what is called `logits` (or `out`); the only tensor of a mapping; the first of a tuple.

    Raises:
        AnalysisError: none of these.
    """
    if isinstance(result, Tensor):
        return result
    for name in OUTPUT_NAMES:
        found = result.get(name) if isinstance(result, Mapping) else getattr(result, name, None)
        if isinstance(found, Tensor):
            return found
    if isinstance(result, Mapping):
        there = [value for value in result.values() if isinstance(value, Tensor)]
        if len(there) == 1:
            return there[0]
        got = f"a mapping with the keys {', '.join(map(repr, result)) or 'none'}"
    elif isinstance(result, tuple | list) and result and isinstance(result[0], Tensor):
        return result[0]
    else:
        got = f"{type(result).__name__}"
    raise AnalysisError(
        "the model must return a tensor, a tuple that begins with one, a mapping with one tensor or the key 'logits' "
        f"or 'out', or an object with such an attribute; got {got}. Wrap the model in a module that returns its outputs"
    )

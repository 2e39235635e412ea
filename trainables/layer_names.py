"""What the layers of the catalogue's networks are, in words, torch-free: `features.0.weight` is conv 1, 3×3, 8.

The shapes lie in layer_shapes.json, for 10 classes; a test compares them with the networks.
"""

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

SHAPES_FILE = Path(__file__).with_name("layer_shapes.json")
_OF_A_TRANSFORMER = {
    "attention.to_qkv": "queries, keys, values",
    "attention.to_out": "attention output",
    "mlp.1": "MLP, first",
    "mlp.3": "MLP, second",
}


@cache
def layer_shapes() -> dict[str, dict[str, list[int]]]:
    """By network and layer the shape of the weight tensor, layers in the network's order."""
    shapes: dict[str, dict[str, list[int]]] = json.loads(SHAPES_FILE.read_text(encoding="utf-8"))
    return shapes


def layers_in_words(network: str) -> dict[str, str]:
    """What each layer of a network is: its kind and number, kernel, and channels; empty for a network of one's own."""
    shapes = layer_shapes().get(network, {})
    found: dict[str, str] = {}
    convolutions = 0
    for name, shape in shapes.items():
        is_shortcut = "downsample" in name or "shortcut" in name
        convolutions += len(shape) == 4 and not is_shortcut
        found[name] = _words(name.removesuffix(".weight"), shape, convolutions, is_shortcut, name == list(shapes)[-1])
    return found


def _words(name: str, shape: Sequence[int], number: int, is_shortcut: bool, is_last: bool) -> str:
    if len(shape) == 4:
        what = f"shortcut beside conv {number}" if is_shortcut else f"conv {number}"
        return f"{what}, {shape[2]}×{shape[3]}, {shape[0]}"
    if is_last:
        return f"classifier, {shape[1]} inputs"
    block = re.match(r"blocks\.(\d+)\.(.+)$", name)
    if block and block[2] in _OF_A_TRANSFORMER:
        return f"block {int(block[1]) + 1}: {_OF_A_TRANSFORMER[block[2]]}"
    return f"{name.replace('_', ' ')}, {shape[1]} to {shape[0]}"

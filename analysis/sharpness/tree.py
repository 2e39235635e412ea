"""Samples that are more than one tensor: tuples and mappings of tensors whose first dimension counts the samples."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analysis.errors import AnalysisError

Tree = Any  # a Tensor; a tuple or dict of trees; or a constant (None, number, text, tensor without dimensions)
CONSTANTS = (bool, int, float, complex, str, type(None))


def plain(tree: object, what: str) -> Tree:
    """A tree of detached tensors, from tensors, numpy arrays, and tuples, lists and mappings of these.

    A tensor made in inference mode is copied, since autograd can't save it.

    Raises:
        AnalysisError: anything else; `what` says what it was meant to be.
    """
    if isinstance(tree, Tensor):
        return tree.clone() if tree.is_inference() else tree.detach()
    if isinstance(tree, np.ndarray | np.generic):
        return _from_numpy(np.asarray(tree), what)
    if isinstance(tree, Mapping):
        return {str(key): plain(value, f"{what}[{key!r}]") for key, value in tree.items()}
    if isinstance(tree, tuple | list) and tree and not all(isinstance(part, CONSTANTS) for part in tree):
        return tuple(plain(part, f"{what}[{index}]") for index, part in enumerate(tree))
    if isinstance(tree, CONSTANTS) and "[" in what:
        return tree
    raise AnalysisError(
        f"{what} must be a tensor or numpy array, a tuple of these (several arguments of the model) or a mapping of "
        f"these (arguments by name); got {_kind(tree)}"
    )


def tensors(tree: Tree) -> Iterator[Tensor]:
    """The tensors that hold samples, in order."""
    if isinstance(tree, Tensor) and tree.ndim > 0:
        yield tree
    elif isinstance(tree, tuple | dict):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from tensors(part)


def mapped(tree: Tree, function: Callable[[Tensor], Tensor]) -> Tree:
    """The tree with a function applied to each tensor that holds samples."""
    if isinstance(tree, Tensor) and tree.ndim > 0:
        return function(tree)
    if isinstance(tree, tuple):
        return tuple(mapped(part, function) for part in tree)
    if isinstance(tree, dict):
        return {key: mapped(part, function) for key, part in tree.items()}
    return tree


def length(tree: Tree, what: str) -> int:
    """The number of samples.

    Raises:
        AnalysisError: there is no tensor, or its parts hold different numbers.
    """
    lengths = sorted({len(tensor) for tensor in tensors(tree)})
    if len(lengths) != 1:
        got = f"{' and '.join(map(str, lengths))}" if lengths else "no tensor with a first dimension"
        raise AnalysisError(f"the parts of {what} must hold the same samples along their first dimension; got {got}")
    return lengths[0]


def first(tree: Tree, count: int) -> Tree:
    """Those of the first samples."""
    return mapped(tree, lambda tensor: tensor[:count])


def slices(tree: Tree, size: int) -> Iterator[Tree]:
    """Consecutive pieces of at most `size` samples."""
    count = len(next(tensors(tree)))
    for start in range(0, count, size):
        yield mapped(tree, lambda tensor, start=start: tensor[start : start + size])  # type: ignore[misc]


def joined(trees: list[Tree]) -> Tree:
    """One tree of the samples of several, whose other entries are equal."""
    head = trees[0]
    if isinstance(head, Tensor) and head.ndim > 0:
        return head if len(trees) == 1 else torch.cat(trees)
    if isinstance(head, tuple):
        return tuple(joined(list(parts)) for parts in zip(*trees, strict=True))
    if isinstance(head, dict):
        return {key: joined([tree[key] for tree in trees]) for key in head}
    return head


def shape_of(tree: Tree) -> object:
    """The tree with each tensor replaced by the shape and type of a sample: what batches must agree in."""
    if isinstance(tree, Tensor):
        return tuple(tree.shape[1:]), tree.dtype
    if isinstance(tree, tuple):
        return tuple(map(shape_of, tree))
    if isinstance(tree, dict):
        return {key: shape_of(part) for key, part in tree.items()}
    return tree


def described(tree: Tree) -> str:
    """Shapes and types, for messages."""
    if isinstance(tree, Tensor):
        return f"shape {tuple(tree.shape)} and {tree.dtype}"
    if isinstance(tree, tuple):
        return f"({', '.join(map(described, tree))})"
    if isinstance(tree, dict):
        return f"{{{', '.join(f'{key}: {described(part)}' for key, part in tree.items())}}}"
    return repr(tree)


def num_bytes(tree: Tree) -> int:
    """Bytes of all tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors(tree))


def _from_numpy(array: np.ndarray[Any, Any], what: str) -> Tensor:
    if array.dtype.kind not in "biuf":
        raise AnalysisError(f"{what} must hold numbers; got a numpy array of {array.dtype}")
    wide = array.dtype.kind == "u" and array.dtype.itemsize > 1  # torch lacks most operations on these
    # Copied: an array may be read-only, in another byte order, or with negative strides.
    return torch.from_numpy(array.astype(np.int64 if wide else array.dtype.newbyteorder("="), order="C", copy=True))


def _kind(tree: object) -> str:
    kind = type(tree).__name__
    if isinstance(tree, tuple | list):
        return f"a {kind} of {type(tree[0]).__name__}" if tree else f"an empty {kind}"
    return kind

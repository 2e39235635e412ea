"""The samples of a measurement: tensors in memory, or batches that are read again on every pass."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from analysis.errors import AnalysisError
from analysis.sharpness.layers import NARROW
from analysis.sharpness.memory import found_budget
from analysis.sharpness.tree import Tree, joined, length, mapped, num_bytes, plain, shape_of, slices, tensors

Inputs = Any  # see `gather`
TARGET_KEYS = ("labels", "label", "targets", "target")  # of a batch that is a mapping
SHARE = 0.25  # of the memory budget, that samples may take; joining batches takes as much again


@dataclass(frozen=True)
class Stream:
    """Batches that are too large together for memory: every pass reads them from their source again."""

    source: Iterable[Any]
    placement: "Placement"
    fingerprints: tuple[float, ...]  # a sum over the entries of each batch: what must be the same on every pass
    num_samples: int

    def to(self, dtype: torch.dtype) -> "Stream":
        """The same samples in another precision."""
        return replace(self, placement=replace(self.placement, dtype=dtype))

    def batches(self) -> Iterator[tuple[Tree, Tree]]:
        """Inputs and targets, batch by batch.

        Raises:
            AnalysisError: a pass gives other batches than the first one.
        """
        count = 0
        for number, batch in enumerate(self.source):
            pair = _pair(batch, number)
            if number >= len(self.fingerprints) or _fingerprint(pair) != self.fingerprints[number]:
                raise AnalysisError(
                    f"the samples do not fit into the memory budget, and batch {number} differs from one pass to the "
                    "next; switch shuffling and random augmentation off, or raise the memory budget so that the "
                    "samples are read once"
                )
            count += 1
            yield self.placement.moved(pair)
        if count != len(self.fingerprints):
            raise AnalysisError(f"the samples were {len(self.fingerprints)} batches, and on a later pass {count}")

    def pieces(self, size: int) -> Iterator[tuple[Tree, Tree]]:
        """Consecutive pieces of exactly `size` samples, whatever the batches; the last may be smaller."""
        waiting: list[Tree] = []
        count = 0
        for batch in self.batches():
            waiting.append(batch)
            count += length(batch, "a batch")
            if count < size:
                continue
            *whole, rest = slices(joined(waiting), size)
            yield from whole
            waiting, count = [rest], length(rest, "a batch")
            if count == size:
                yield rest
                waiting, count = [], 0
        if waiting:
            yield joined(waiting)


@dataclass(frozen=True)
class Samples:
    """Inputs and targets, each a tensor, or a tuple or mapping of tensors. Of a stream the first batch."""

    inputs: Tree  # (N, …)
    targets: Tree  # (N, …)
    stream: Stream | None = None


@dataclass(frozen=True)
class Placement:
    """Where a network is, and in which precision it is measured: what arrays and batches of a loader are brought to."""

    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, model: nn.Module) -> "Placement":
        """From the first floating-point parameter; float32 where that is of a narrower type."""
        for parameter in model.parameters():
            if parameter.is_floating_point():
                return cls(parameter.device, torch.float32 if parameter.dtype in NARROW else parameter.dtype)
        raise AnalysisError("the model has no parameter")

    def moved(self, tree: Tree) -> Tree:
        """The tree on the network's device, its floating-point tensors in the network's precision."""
        return mapped(tree, lambda t: t.to(self.device, self.dtype if t.is_floating_point() else t.dtype))


def gather(model: nn.Module, inputs: Any, targets: Any = None, memory_budget: int | None = None) -> Samples:
    """The samples that were given, as tensors.

    Args:
        inputs: a tensor or numpy array, a tuple or mapping of these; or, with no targets, a `DataLoader` or any other
            iterable of batches: (inputs, targets), (inputs, more inputs, …, targets), or a mapping with `labels`.
        targets: those of the same samples.
        memory_budget: bytes; batches are held in memory as long as they take a quarter of it. Larger sets are read
            again on each pass. Left out: what the process holds, and all that is free.

    Cost: batches are read once; where they do not fit, the first of them twice.

    Raises:
        AnalysisError: anything else; batches that differ in the shape of a sample; batches that do not fit, and can't
            be read again or differ from one pass to the next.
    """
    if isinstance(inputs, Samples):
        return inputs
    if targets is not None:
        placement = Placement.of(model)
        pair = plain(_placed(inputs, placement), "inputs"), plain(_placed(targets, placement), "targets")
        count = length(pair[0], "inputs"), length(pair[1], "targets")
        if count[0] != count[1] or count[0] == 0:
            raise AnalysisError(f"inputs and targets must hold the same samples; got {count[0]} and {count[1]}")
        return Samples(*pair)
    if not isinstance(inputs, Iterable) or isinstance(inputs, Tensor | np.ndarray | Mapping | str | bytes):
        raise AnalysisError(
            "give inputs and targets, or in their place a DataLoader or another iterable of batches; got "
            f"{type(inputs).__name__} without targets"
        )
    placement = Placement.of(model)
    budget = found_budget(placement.device) if memory_budget is None else memory_budget
    return _read(inputs, placement, int(SHARE * budget))


def _placed(tree: Any, placement: Placement) -> Any:
    """Numpy arrays on the network's device and in its precision; tensors stay where the caller put them."""
    if isinstance(tree, np.ndarray | np.generic):
        return placement.moved(plain(tree, "an array"))
    if isinstance(tree, Mapping):
        return {key: _placed(part, placement) for key, part in tree.items()}
    if isinstance(tree, tuple | list):
        return [_placed(part, placement) for part in tree]
    return tree


def _read(source: Iterable[Any], placement: Placement, limit: int) -> Samples:
    held: list[Tree] = []
    taken = num_samples = 0
    fits = True
    fingerprints: list[float] = []
    shape: object = None
    for number, batch in enumerate(source):
        pair = _pair(batch, number)
        if number == 0:
            shape = shape_of(pair)
        elif shape_of(pair) != shape:
            raise AnalysisError(
                f"batch {number} has samples of another shape or type than batch 0: {shape_of(pair)} instead of "
                f"{shape}; pad or crop them to one shape"
            )
        num_samples += length(pair, f"batch {number}")
        taken += num_bytes(pair)
        fingerprints.append(_fingerprint(pair))
        if fits and taken > limit:
            fits, held = False, held[:1]
            if iter(source) is source:
                raise AnalysisError(
                    f"the samples take more than {limit / 2**20:.0f} MiB, a quarter of the memory budget, and an "
                    "iterator can be read only once; pass a DataLoader or a list, or raise the memory budget"
                )
        if fits or not held:
            held.append(placement.moved(pair))
    if num_samples == 0:
        raise AnalysisError("there must be samples; the iterable of batches is empty")
    if fits:
        inputs, targets = joined(held)
        return Samples(inputs, targets)
    stream = Stream(source, placement, tuple(fingerprints), num_samples)
    next(iter(stream.batches()))  # refuses shuffling and augmentation now, and not after the first product
    inputs, targets = held[0]
    return Samples(inputs, targets, stream)


def _pair(batch: Any, number: int) -> Tree:
    """Inputs and targets of one batch, not moved to the network's device."""
    what = f"batch {number}"
    if isinstance(batch, Mapping):
        keys = [key for key in TARGET_KEYS if key in batch]
        if len(keys) == 1 and len(batch) > 1:
            rest = {key: value for key, value in batch.items() if key != keys[0]}
            return plain(rest, what), plain(batch[keys[0]], f"the targets of {what}")
        raise AnalysisError(
            f"{what} is a mapping and must have its targets under one of {', '.join(TARGET_KEYS)}, beside inputs; got "
            f"the keys {', '.join(map(repr, batch)) or 'none'}"
        )
    if isinstance(batch, tuple | list) and len(batch) >= 2:
        *inputs, targets = batch
        given = inputs[0] if len(inputs) == 1 else tuple(inputs)
        return plain(given, f"the inputs of {what}"), plain(targets, f"the targets of {what}")
    raise AnalysisError(
        f"{what} must be (inputs, targets), (inputs, more inputs, …, targets) or a mapping with labels; got "
        f"{type(batch).__name__}; inputs and targets that are tensors are two arguments: (model, inputs, targets)"
    )


def _fingerprint(pair: Tree) -> float:
    sums = (tensor.double().nan_to_num().sum().item() for tensor in tensors(pair))
    return sum(total * (index + 1) for index, total in enumerate(sums))

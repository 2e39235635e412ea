"""The Gram matrix GGᵀ of a factor that is kept unmultiplied, in the cheaper of two orders.

With a_np (K) what position p of the result sees of sample n, and g_nrp (C) the r-th cotangent there,
    ⟨row (n, r), row (m, s)⟩ = Σ_pq (a_np · a_mq)(g_nrp · g_msq).
By pairs of samples that takes T²K + T²RC + R²TC multiplications a pair, for T positions: the cheaper order where these
are few, as in the last stage of a network. By rows, Σ_p g_nrp a_npᵀ is written out for some channels at a time, and
takes R²CK a pair. Where the cotangents of a sample are one map of positions, scaled by channel (`Cotangents`), the sums
over positions are taken once for all r and s.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.sharpness.hessian.cost import LinearShape
from analysis.sharpness.hessian.engines.factors import Unmultiplied
from analysis.sharpness.hessian.engines.gauss_newton import gram
from analysis.sharpness.hessian.engines.pooled_factor import PooledFactor

Piece = Sequence[Unmultiplied]  # the uses of one weight in some samples
WORKSPACE = 2**27  # bytes of patches, or of rows, that are held at a time
PAIRED = 2**22  # bytes of the products of one sample's cotangents with a block of samples: what the caches hold


@dataclass(frozen=True)
class Places:
    """What B samples bring to T positions, those of several uses of a weight one after the other, by group."""

    patches: Tensor  # a (B, G, T, K)
    values: Tensor  # (B, R, G, C/G, T) cotangents g; (B, 1, …) where `scales` multiply them
    scales: Tensor | None  # (B, R, G, C/G)

    @classmethod
    def of(cls, pieces: Sequence[Piece], dtype: torch.dtype) -> "Places":
        """Of consecutive pieces."""
        parts = [cls._of(piece, dtype) for piece in pieces]
        scales = None if parts[0].scales is None else torch.cat([p.scales for p in parts if p.scales is not None])
        return cls(torch.cat([p.patches for p in parts]), torch.cat([p.values for p in parts]), scales)

    @classmethod
    def _of(cls, piece: Piece, dtype: torch.dtype) -> "Places":
        patches = torch.cat([use.map.patches(use.inputs) for use in piece], dim=2).to(dtype)
        first = piece[0].cotangents
        if len(piece) > 1 or first.scales is None:
            parts = [use.map.by_position(use.cotangents.dense()) for use in piece]
            return cls(patches, torch.cat(parts, dim=4).to(dtype), None)
        scales = torch.unflatten(first.scales, 2, (patches.shape[1], -1))
        return cls(patches, piece[0].map.by_position(first.values).to(dtype), scales.to(dtype))

    @property
    def rank(self) -> int:
        """R."""
        return (self.values if self.scales is None else self.scales).shape[1]


def structured_gram(pieces: Sequence[Piece], scale: Tensor, dtype: torch.dtype) -> Tensor:
    """GGᵀ (N·R, N·R) in `dtype`, for consecutive pieces of the samples.

    Args:
        scale: (C,) factors of the rows, by output of the layer.
    """
    one = Places.of([[use.samples(slice(0, 1)) for use in pieces[0]]], dtype)
    (_, groups, positions, fan_in), outputs, R = one.patches.shape, len(scale), one.rank
    rank = one.values.shape[1]
    # By rows, scaled cotangents take C·K for the inner products of their matrices, whatever R.
    by_rows = (R * R if rank == R else 1) * outputs * fan_in
    by_pairs = LinearShape(positions, fan_in, outputs, groups, inputs=0).pair_work(rank)
    make = _by_pairs if by_pairs < by_rows else _by_rows
    return make(pieces, scale.to(dtype).view(groups, -1), one)


def _by_pairs(pieces: Sequence[Piece], scale: Tensor, one: Places) -> Tensor:
    a_sample = (one.patches.numel() + one.values.numel()) * one.patches.element_size()
    blocks = list(_blocks(pieces, max(1, WORKSPACE // a_sample)))
    num_samples, R = sum(stop - start for start, stop, _ in blocks), one.rank
    K = one.patches.new_zeros(num_samples, R, num_samples, R)
    products = PAIRED // max(1, one.values.numel() * one.values.element_size()) + 1  # samples at a time
    for index, (start, stop, block) in enumerate(blocks):
        ours = Places.of(block, one.patches.dtype)
        for first, last, other in blocks[: index + 1]:
            theirs = ours if first == start else Places.of(other, one.patches.dtype)
            for group, by_output in enumerate(scale):
                _add_pairs(K[start:stop, :, first:last], ours, theirs, group, by_output**2, products, first == start)
    K = K.view(num_samples * R, num_samples * R).tril_()
    K += K.tril(-1).T
    return K


def _add_pairs(
    K: Tensor, ours: Places, theirs: Places, group: int, scale: Tensor, products: int, triangle: bool
) -> None:
    """Add a group's part to K (B, R, B', R); of a block with itself only what lies on and below the diagonal."""
    T = ours.patches.shape[2]
    met = ours.patches[:, group].flatten(0, 1) @ theirs.patches[:, group].flatten(0, 1).T
    met = met.view(len(ours.patches), T, -1, T)
    values = theirs.values[:, :, group].permute(0, 3, 2, 1).contiguous()  # (B', T, c, R)
    for n, (row, own) in enumerate(zip(K, ours.values[:, :, group], strict=True)):
        left = (own * scale[:, None]).permute(2, 0, 1)  # (T, R, c)
        stop = n + 1 if triangle else len(values)
        for start in range(0, stop, products):
            chosen = slice(start, min(start + products, stop))
            passed = met[n, :, chosen].flatten(1).T @ left.flatten(1)  # (B'·T, R·c)
            passed = passed.view(-1, *left.shape)  # (B', T, R, c)
            if ours.scales is None or theirs.scales is None:
                row[:, chosen] += torch.matmul(passed, values[chosen]).sum(1).transpose(0, 1)
            else:
                inner = (passed[:, :, 0] * values[chosen, :, :, 0]).sum(1)  # (B', c)
                scaled = inner[:, None] * theirs.scales[chosen, :, group]  # (B', R, c)
                row[:, chosen] += torch.unflatten(
                    ours.scales[n, :, group] @ scaled.flatten(0, 1).T, 1, scaled.shape[:2]
                )


def _blocks(pieces: Sequence[Piece], size: int) -> Iterator[tuple[int, int, list[Piece]]]:
    """Consecutive pieces of at most `size` samples together: the first sample, that after the last, and the pieces."""
    block: list[Piece] = []
    start = count = 0
    for piece in pieces:
        for part in _split(piece, size):
            if block and count + part[0].num_samples > size:
                yield start, start + count, block
                block, start, count = [], start + count, 0
            block.append(part)
            count += part[0].num_samples
    yield start, start + count, block


def _split(piece: Piece, size: int) -> Iterator[Piece]:
    for start in range(0, piece[0].num_samples, size):
        yield [use.samples(slice(start, start + size)) for use in piece]


def _by_rows(pieces: Sequence[Piece], scale: Tensor, one: Places) -> Tensor:
    """Slab by slab of channels, each slab written out for all samples."""
    groups, channels = scale.shape
    num_samples, K = sum(piece[0].num_samples for piece in pieces), one.patches.shape[3]
    a_channel = num_samples * one.values.shape[1] * K * one.patches.element_size()
    together = max(1, WORKSPACE // max(1, a_channel))  # channels of all groups
    total: Tensor | None = None
    a_piece = max(1, WORKSPACE // ((one.patches.numel() + one.values.numel()) * one.patches.element_size()))
    for g in _slices(groups, max(1, together // channels)):
        for c in _slices(channels, together):
            rows, scales = [], []
            for _, _, block in _blocks(pieces, a_piece):
                places = Places.of(block, one.patches.dtype)
                values = places.values[:, :, g, c] * scale[g, c, None]
                left = values.transpose(1, 2).flatten(2, 3)  # (B, g, R·c, T)
                written = torch.unflatten(left @ places.patches[:, g], 2, (-1, values.shape[3])).transpose(1, 2)
                rows.append(written.flatten(2, 3))  # (B, R, g·c, K)
                if places.scales is not None:
                    scales.append(places.scales[:, :, g, c].flatten(2))
            slab = torch.cat(rows)
            pooled = PooledFactor(torch.cat(scales), slab[:, 0]) if scales else None
            part = gram(slab.flatten(0, 1).flatten(1)) if pooled is None else pooled.gram()
            total = part if total is None else total.add_(part)
    assert total is not None
    return total


def _slices(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))

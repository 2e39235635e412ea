"""3 × 3 convolutions by Winograd's minimal filtering F(4 × 4, 3 × 3): a quarter of the multiplications.

An image is cut into tiles of 6 × 6 that overlap by 2, each of which decides 4 × 4 results. Transformed, a tile's
convolution is a product of 36 numbers: Z = Aᵀ[(G W Gᵀ) ∘ (Bᵀ X B)]A, summed over channels as 36 matrix products. In
this basis the three products of a layer, with its weights, with their transpose and of cotangents with inputs, are
sums of the same kind, so that what is transformed once serves all of them, and their sums are transformed back once.

Source: Lavin & Gray 2016, §4.1 and §4.3; the derivatives are transposes of the maps there.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from analysis.sharpness.hessian.tape.linear_maps import Bilinear, Convolution

TILE = 4
TILED = 36 / TILE**2  # entries of transformed tiles over those of the image
# Where tiles measured faster. A layer whose weights move has 2 to 6 products, which share transforms, and transformed
# kernels for every vector; one that is only passed through has 2, which share none.
MOVED_CHANNELS, PASSED_CHANNELS = 32, 128
MOVED_TILES = 1 / 8  # for every channel
PRECISE = (torch.float32, torch.float64)  # round-off grows 5-fold, which half precision can't afford
BLOCK_BYTES = 2**21  # of transformed tiles that are worked on at a time: what the caches hold
MATRICES = {  # with the points 0, 1, −1, 2, −2 and ∞
    "B_T": [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    "G": [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    "A_T": [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
}
ONE = 7  # entry of a transformed tile that alone is not zero for a constant result: both coordinates at the point 1


def suits(bilinear: Bilinear, x: Tensor, num_outputs: int, moved: bool) -> bool:
    """Whether a map on (B, …) inputs like `x` is such a convolution, on a CPU, and faster by tiles.

    On a GPU it is left to cuDNN, which has this algorithm.

    Args:
        moved: whether this map's own weights are among those that products are taken in.
    """
    if not isinstance(bilinear, Convolution) or x.device.type != "cpu" or x.dtype not in PRECISE:
        return False
    plain = Convolution((x.shape[1], 3, 3), [1, 1], [1, 1], [1, 1], 1)
    if bilinear != plain or any(size % TILE for size in x.shape[2:]):
        return False
    channels, tiles = sorted((x.shape[1], num_outputs)), x[:, 0].numel() / TILE**2
    if moved:
        return channels[0] >= MOVED_CHANNELS and tiles >= MOVED_TILES * channels[1]
    return channels[0] >= PASSED_CHANNELS


Tiles = list[Tensor]  # (36, T, C) by block of samples: 36 numbers of every tile and channel
Pairs = Sequence[tuple[Tiles, Tensor]]  # with weights (36, C_out, C_in)


@dataclass(frozen=True)
class Winograd:
    """A `Basis` of transformed tiles, H·W/16 a sample.

    Blocks of samples keep the tiles that are worked on in the caches. Round-off in float32 measured 5 times that of a
    direct convolution, 2e-6 of the result.
    """

    height: int
    width: int
    samples_a_block: int

    @classmethod
    def of(cls, x: Tensor, num_outputs: int) -> "Winograd":
        """For (B, C_in, H, W) inputs like `x`."""
        entries = TILED * max(x.shape[1], num_outputs) * x[0, 0].numel()
        return cls(x.shape[2], x.shape[3], max(1, int(BLOCK_BYTES / (entries * x.element_size()))))

    def inputs(self, x: Tensor) -> Tiles:
        """(B, C_in, H, W) to blocks of (36, T, C_in)."""
        return [self._transformed_inputs(part) for part in self._blocks(x)]

    def cotangents(self, dz: Tensor) -> Tiles:
        """(B, C_out, H, W) cotangents of the result to blocks of (36, T, C_out)."""
        return [self._transformed_cotangents(part) for part in self._blocks(dz)]

    def weights(self, W: Tensor) -> Tensor:
        """(C_out, 9 C_in) to (36, C_out, C_in)."""
        kernels = W.view(len(W), -1, 9).permute(2, 0, 1)
        return (_squared("G", W.dtype) @ kernels.reshape(9, -1)).view(36, len(W), -1)

    def weight_matrix(self, gradient: Tensor) -> Tensor:
        """The transpose of `weights`."""
        kernels = _squared("G", gradient.dtype).T @ gradient.flatten(1)
        return kernels.view(9, *gradient.shape[1:]).permute(1, 2, 0).flatten(1)

    def apply(self, pairs: Pairs, b: Tensor | None = None) -> Tensor:
        """Σ A(W) x + b, (B, C_out, H, W), for transformed pairs (x, W)."""
        return self._images([(x, W.transpose(1, 2)) for x, W in pairs], self._assemble, b)

    def transpose(self, pairs: Pairs, like: Tensor) -> Tensor:
        """Σ A(W)ᵀ dz, (B, C_in, H, W), for transformed pairs (dz, W)."""
        return self._images(pairs, self._overlap)

    def bias_gradient(self, dz: Tiles) -> Tensor:
        """Σ dz over samples and positions, (C_out,)."""
        total = dz[0][ONE].sum(0)
        for more in dz[1:]:
            total += more[ONE].sum(0)
        return total

    def weight_gradient(self, x: Tiles, dz: Tiles, into: Tensor | None = None) -> Tensor:
        """Σ_samples dz ⊗ x, (36, C_out, C_in), for transformed x and dz; `into` is added to."""
        return _sum([(right.transpose(1, 2), left) for left, right in zip(x, dz, strict=True)], into)

    def _images(self, pairs: Pairs, lay: Callable[[Tensor, Tensor], None], b: Tensor | None = None) -> Tensor:
        """Σ of the products of pairs, + b, block by block, (B, C, H, W): `lay` brings a block's out of the basis."""
        tiles, weights = [factor for factor, _ in pairs], [weight for _, weight in pairs]
        rows, columns = self.height // TILE, self.width // TILE
        num_samples = sum(block.shape[1] for block in tiles[0]) // (rows * columns)
        images = tiles[0][0].new_empty(num_samples, rows, TILE, columns, TILE, weights[0].shape[2])
        for image, blocks in zip(self._blocks(images), zip(*tiles, strict=True), strict=True):
            products = _sum(list(zip(blocks, weights, strict=True)))
            if b is not None:
                products[ONE] += b
            lay(products.flatten(1), image.permute(2, 4, 0, 1, 3, 5))
        return images.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)

    def _blocks(self, x: Tensor) -> Sequence[Tensor]:
        """Of nearly equal size."""
        return torch.split(x, math.ceil(len(x) / math.ceil(len(x) / self.samples_a_block)))

    def _transformed_inputs(self, x: Tensor) -> Tensor:
        """Entries of tiles that overlap, rows of channels, then the transform."""
        padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        b, h, w, c = padded.stride()
        shape = (6, 6, len(x), self.height // TILE, self.width // TILE, x.shape[1])
        tiles = padded.as_strided(shape, (h, w, b, TILE * h, TILE * w, c), padded.storage_offset())
        return (_squared("B_T", x.dtype) @ tiles.reshape(36, -1)).view(36, -1, x.shape[1])

    @staticmethod
    def _overlap(products: Tensor, pixels: Tensor) -> None:
        """Transposes `_transformed_inputs`: (36, T·C) products written to (4, 4, B, H/4, W/4, C) pixels.

        A tile covers the 4 × 4 pixels at its position; its first and last entries cover the pixels next to them.
        """
        tiles = (_squared("B_T", products.dtype).T @ products).view(6, 6, *pixels.shape[2:])
        rows = tiles[1:5]
        rows[3, :, :, :-1].add_(tiles[0, :, :, 1:])
        rows[0, :, :, 1:].add_(tiles[5, :, :, :-1])
        pixels.copy_(rows[:, 1:5])
        pixels[:, 3, :, :, :-1].add_(rows[:, 0, :, :, 1:])
        pixels[:, 0, :, :, 1:].add_(rows[:, 5, :, :, :-1])

    def _transformed_cotangents(self, dz: Tensor) -> Tensor:
        """Entries of tiles side by side, rows of channels, then the transform."""
        B, C, H, W = dz.shape
        tiles = dz.permute(0, 2, 3, 1).reshape(B, H // TILE, TILE, W // TILE, TILE, C).permute(2, 4, 0, 1, 3, 5)
        return (_squared("A_T", dz.dtype).T @ tiles.reshape(TILE**2, -1)).view(36, -1, C)

    @staticmethod
    def _assemble(products: Tensor, pixels: Tensor) -> None:
        """Transposes `_transformed_cotangents`: (36, T·C) products written to (4, 4, B, H/4, W/4, C) pixels."""
        pixels.copy_((_squared("A_T", products.dtype) @ products).view(pixels.shape))


@cache
def _squared(name: str, dtype: torch.dtype) -> Tensor:
    """M ⊗ M: a transform of both coordinates of a tile, which is cheaper in one product than one after the other."""
    matrix = torch.tensor(MATRICES[name], dtype=torch.float64)
    return torch.kron(matrix, matrix).to(dtype)


def _sum(pairs: Sequence[tuple[Tensor, Tensor]], into: Tensor | None = None) -> Tensor:
    """Σ of batched matrix products."""
    for left, right in pairs:
        into = torch.bmm(left, right) if into is None else into.baddbmm_(left, right)
    assert into is not None
    return into

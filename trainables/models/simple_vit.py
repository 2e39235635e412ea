"""SimpleViT (Beyer et al. 2022) as vit_pytorch 0.40.2 builds it: no normalization in the patch embedding."""

import torch
from torch import Tensor, nn


class SimpleViT(nn.Module):
    """A pre-norm vision transformer with fixed sine and cosine positions, mean pooling and no class token.

    Later versions of vit_pytorch add two LayerNorms to the patch embedding and 1 120 parameters with them. Attention
    is written as matrix products, since the fused CPU kernel has no second derivative.

    Args:
        num_classes, in_channels: of the data.
        image_size: height and width of the images, a multiple of `patch_size`.
        patch_size: height and width of a patch.
        width: features of a token, a multiple of 4, at least 8.
        depth: blocks.
        heads, head_width: attention heads and the features of each.
        mlp_width: hidden features of each block's multilayer perceptron.

    Raises:
        ValueError: a size is not a multiple as stated above.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        image_size: int = 32,
        patch_size: int = 4,
        width: int = 512,
        depth: int = 6,
        heads: int = 16,
        head_width: int = 64,
        mlp_width: int = 1024,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise ValueError(f"image_size must be a multiple of patch_size ({patch_size}); got {image_size}")
        if width % 4 or width < 8:
            raise ValueError(f"width must be a multiple of 4, at least 8; got {width}")
        self.grid, self.patch_size = image_size // patch_size, patch_size
        self.patch_embedding = nn.Linear(in_channels * patch_size**2, width)
        self.register_buffer("positions", sine_cosine_positions(self.grid, width), persistent=False)
        self.blocks = nn.Sequential(*(Block(width, heads, head_width, mlp_width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, in_channels, image_size, image_size) images to (N, num_classes) logits."""
        cut = (self.grid, self.patch_size)
        patches = torch.unflatten(torch.unflatten(images, 3, cut), 2, cut)
        # (N, C, rows, p, columns, p) → (N, rows·columns, p·p·C): pixels before channels, as vit_pytorch orders them.
        tokens = self.patch_embedding(patches.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2))
        tokens = self.blocks(tokens + self.positions)
        logits: Tensor = self.head(self.norm(tokens.mean(dim=1)))
        return logits


class Block(nn.Module):
    """Attention and a GELU perceptron, each on normalized tokens and added to them."""

    def __init__(self, width: int, heads: int, head_width: int, mlp_width: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads, head_width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, mlp_width), nn.GELU(), nn.Linear(mlp_width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, tokens, width) to the same shape."""
        tokens = self.attention(tokens) + tokens
        result: Tensor = self.mlp(tokens) + tokens
        return result


class Attention(nn.Module):
    """softmax(QKᵀ/√head_width) V on normalized tokens, with bias-free projections."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, head_width**-0.5
        self.norm = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.to_out = nn.Linear(heads * head_width, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, tokens, width) to the same shape."""
        projected = torch.unflatten(self.to_qkv(self.norm(tokens)), 2, (3, self.heads, -1))
        queries, keys, values = projected.transpose(1, 3).unbind(2)  # each (N, heads, tokens, head_width)
        scores = queries @ keys.transpose(2, 3) * self.scale
        mixed = scores.softmax(dim=3) @ values
        out: Tensor = self.to_out(mixed.transpose(1, 2).flatten(2))
        return out


def sine_cosine_positions(grid: int, width: int, temperature: float = 10_000.0) -> Tensor:
    """(grid², width) fixed encodings, row by row: sin and cos of the column, then of the row, a quarter of width each.

    The frequencies are temperature^(−k/(width/4 − 1)), k = 0 … width/4 − 1.
    """
    frequencies = 1 / temperature ** (torch.arange(width // 4) / (width // 4 - 1))
    rows, columns = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    by_row, by_column = rows.flatten()[:, None] * frequencies, columns.flatten()[:, None] * frequencies
    return torch.cat((by_column.sin(), by_column.cos(), by_row.sin(), by_row.cos()), dim=1)


def simple_vit(num_classes: int = 10, in_channels: int = 3) -> SimpleViT:
    """SimpleViT for 32×32 images: 18 927 114 parameters for 10 classes, 26 layers."""
    return SimpleViT(num_classes, in_channels)

"""A GPT-2 of two layers in plain torch: token and position embeddings, pre-norm attention."""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

VOCABULARY, LENGTH = 20, 6


class Layer(nn.Module):
    """Causal attention and a perceptron, each after a layer norm and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, t, width))
        out: Tensor = x + self.down(nn.functional.gelu(self.up(self.norm2(x)), approximate="tanh"))
        return out


class LanguageModel(nn.Module):
    """(N, T) tokens to a mapping with (N, T, V) logits."""

    def __init__(self, width: int = 64, depth: int = 2, heads: int = 4, vocabulary: int = VOCABULARY) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(LENGTH, width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, input_ids: Tensor) -> dict[str, Tensor]:
        x = self.tokens(input_ids) + self.positions(torch.arange(input_ids.shape[1], device=input_ids.device))
        for layer in self.layers:
            x = layer(x)
        return {"logits": self.head(self.norm(x))}


def text(num_samples: int, vocabulary: int = VOCABULARY, length: int = LENGTH) -> tuple[dict[str, Tensor], Tensor]:
    """Random tokens; the targets are the next ones, and −100 where there is none or where a sample is padded."""
    tokens = torch.randint(0, vocabulary, (num_samples, length + 1), generator=torch.Generator().manual_seed(1))
    targets = tokens[:, 1:].clone()
    targets[0, length // 2 :] = -100
    return {"input_ids": tokens[:, :-1]}, targets

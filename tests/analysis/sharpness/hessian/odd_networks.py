"""Networks that mislead whoever trusts the shape of a tensor, the class of a module, or one sample."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Recurrent(nn.Module):
    """A head on the last state of a recurrent network, which is (1, N, H); with one layer for each time step, too."""

    def __init__(self, time_first: bool = False) -> None:
        super().__init__()
        self.time_first = time_first
        self.rnn = nn.LSTM(4, 4, batch_first=not time_first)
        self.token = nn.Linear(4, 4)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.token(x.transpose(0, 1) if self.time_first else x).tanh()
        _, (h, _) = self.rnn(x)
        out: Tensor = self.fc(h)[0]
        return out


class Cosine(nn.Linear):
    """A linear map with normalized weights: a subclass that does not compute what its parent does."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, functional.normalize(self.weight, dim=1), self.bias)


class StandardizedConv(nn.Conv2d):
    """A convolution with standardized weights, by the method that torch's own forward calls."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        out: Tensor = super()._conv_forward(x, weight - weight.mean((1, 2, 3), keepdim=True), bias)
        return out


class Experts(nn.Module):
    """Each sample goes to one of three experts; nobody chooses the last."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 6)
        self.experts = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x).relu()
        choice = (x[:, 0] > 0).long()
        mixed = torch.zeros_like(hidden)
        for number, expert in enumerate(self.experts):
            chosen = choice == number
            if chosen.any():
                mixed = mixed.index_put((chosen,), expert(hidden[chosen]))
        out: Tensor = self.out(mixed)
        return out


class TiedEnds(nn.Module):
    """One weight at both ends, once as a module and once through a function."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 3, bias=False)
        self.middle = nn.Linear(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(self.middle(self.embed(x).relu()).relu(), self.embed.weight)


class TwoBiases(nn.Module):
    """Two linear maps with one weight and each a bias of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.out = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.two(self.one(x).tanh()).tanh())
        return out


class Unused(nn.Module):
    """An auxiliary head that the outputs do not depend on, and a backbone whose gradient is cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.first = nn.Linear(5, 5), nn.Linear(5, 4)
        self.aux, self.fc = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.frozen(x)
        out: Tensor = self.fc(self.first(x).relu())
        return out


class Folded(nn.Module):
    """Frames of a clip folded into the batch of a convolution, time first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:  # (N, T, 2, 4, 4)
        frames = x.transpose(0, 1).flatten(0, 1)
        features = self.norm(self.conv(frames)).tanh().mean((2, 3))
        out: Tensor = self.fc(features.unflatten(0, (-1, len(x)))).tanh().mean(0)
        return out

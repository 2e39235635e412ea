"""Recurrent networks of torch, with the heads that people put on them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.analysis.sharpness.zoo.entry import NUM_CLASSES, NUM_SAMPLES, Case, Entry

VOCABULARY, LENGTH, WIDTH = 20, 4, 10


class LastState(nn.Module):
    """A classifier on the last state (h_n) of a recurrent network."""

    def __init__(self, cell: type[nn.LSTM | nn.GRU], **options: int | bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 8)
        self.rnn = cell(8, WIDTH, batch_first=True, **options)
        self.fc = nn.Linear(WIDTH * (2 if self.rnn.bidirectional else 1), NUM_CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        _, state = self.rnn(self.embedding(tokens))
        h = state[0] if isinstance(state, tuple) else state
        out: Tensor = self.fc(torch.cat((h[-2], h[-1]), dim=1) if self.rnn.bidirectional else h[-1])
        return out


class Tagger(nn.Module):
    """A class for every token; sequence first inside."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 8)
        self.rnn = nn.LSTM(8, WIDTH, num_layers=2, bidirectional=True)
        self.fc = nn.Linear(2 * WIDTH, NUM_CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        states, _ = self.rnn(self.embedding(tokens).transpose(0, 1))
        out: Tensor = self.fc(states).transpose(0, 1)
        return out


class Cells(nn.Module):
    """A GRU cell in a loop, whose weights are used once a step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.fc = nn.GRUCell(8, WIDTH), nn.Linear(WIDTH, NUM_CLASSES)
        self.embedding = nn.Embedding(VOCABULARY, 8)

    def forward(self, tokens: Tensor) -> Tensor:
        h = torch.zeros(len(tokens), WIDTH, dtype=self.embedding.weight.dtype)
        for step in self.embedding(tokens).unbind(1):
            h = self.cell(step, h)
        out: Tensor = self.fc(h)
        return out


def _of_sequences(model: nn.Module) -> Case:
    return Case(model.eval(), _tokens(), torch.randint(0, NUM_CLASSES, (NUM_SAMPLES,)))


def _tokens() -> Tensor:
    return torch.randint(0, VOCABULARY, (NUM_SAMPLES, LENGTH))


def _tagger() -> Case:
    return Case(Tagger().eval(), _tokens(), torch.randint(0, NUM_CLASSES, (NUM_SAMPLES, LENGTH)))


_BUILD: dict[str, Callable[[], Case]] = {
    "LSTM": lambda: _of_sequences(LastState(nn.LSTM)),
    "LSTM, two layers, both ways": lambda: _of_sequences(LastState(nn.LSTM, num_layers=2, bidirectional=True)),
    "GRU": lambda: _of_sequences(LastState(nn.GRU)),
    "LSTM tagger": _tagger,
    "GRU cells": lambda: _of_sequences(Cells()),
}
SMALL_ENTRIES = ENTRIES = [Entry(name, "torch", build) for name, build in _BUILD.items()]

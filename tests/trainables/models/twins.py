"""How two networks with the same weights are compared."""

import torch
from torch import Tensor, nn


def assert_same_logits_and_gradients(model: nn.Module, twin: nn.Module, images: Tensor) -> None:
    """In eval mode (running statistics) and in train mode (batch statistics), and the gradients of both."""
    for train in (False, True):
        logits = [network.train(train)(images) for network in (model, twin)]
        torch.testing.assert_close(*logits, rtol=1e-12, atol=1e-12)
    gradients = [
        torch.cat([gradient.flatten() for gradient in torch.autograd.grad(out.square().sum(), list(net.parameters()))])
        for out, net in zip(logits, (model, twin), strict=True)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)

"""Small versions of every architecture, in float64, with batch-norms that have seen something, and a plain oracle."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.models.digits_cnn import DigitsCNN
from trainables.models.resnet import BasicBlock, Bottleneck, ResNet
from trainables.models.simple_vit import SimpleViT
from trainables.models.wide_resnet import PreActivationBlock

Loss = Callable[[Tensor, Tensor], Tensor]


class Odd(nn.Module):
    """What the networks of the paper leave out: groups, dilation, leaky ReLU, overlapping max-pooling, a view."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2, bias=False)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.shortcut = nn.Conv2d(4, 4, 1, stride=2)
        self.bn2 = nn.BatchNorm2d(4, affine=False)
        self.leaky = nn.LeakyReLU(0.1)
        self.hidden = nn.Linear(4, 5)
        self.bn3 = nn.BatchNorm1d(5)
        self.out = nn.Linear(5, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu()
        x = self.leaky(self.bn2(self.pool(self.conv2(x)) + self.shortcut(x)))
        x = nn.functional.adaptive_avg_pool2d(x, 1)
        x = torch.relu(self.bn3(self.hidden(x.view(x.size(0), -1))))
        out: Tensor = self.out(x)
        return out


class Reusing(nn.Module):
    """Results that several steps take, in every order, so that none may overwrite what another still needs."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.conv3 = nn.Conv2d(4, 4, 1)
        self.out = nn.Linear(4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv1(x)
        both = first + first.relu()
        second = self.conv2(both)
        total = second + both
        total = total.relu() + total + (second + both).relu() + second
        total = self.conv3(total + total).relu() + both
        out: Tensor = self.out(torch.relu(total + first).mean([2, 3]))
        return out


class Attentive(nn.Module):
    """torch's own attention, whose projections are not modules that are called, and a token of its own."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.embed = nn.Linear(24, 4)
        self.token_weight = nn.Parameter(torch.randn(1, 1, 4))
        self.encoder = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.1, activation="gelu", batch_first=True)
        self.head = nn.Linear(4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x.reshape(len(x), -1, 24))
        tokens = torch.cat([self.token_weight.expand(len(x), -1, -1), tokens], dim=1)
        out: Tensor = self.head(self.encoder(tokens)[:, 0])
        return out


def perceptron(num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(192, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, num_classes)
    )


def narrow_wide_resnet(num_classes: int) -> nn.Sequential:
    """Two pre-activation blocks, the first with a bare convolution as its shortcut, and the head of a WRN."""
    return nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1, bias=False),
        PreActivationBlock(3, 4, stride=2),
        PreActivationBlock(4, 4, stride=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, num_classes),
    )


def smooth_cnn(num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1, bias=False),
        nn.BatchNorm2d(3),
        nn.SiLU(),
        nn.Conv2d(3, 6, 3, stride=2, groups=3),
        nn.GELU(),
        nn.Conv2d(6, 4, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, num_classes),
    )


PIECEWISE_LINEAR: dict[str, Callable[[int], nn.Module]] = {
    "perceptron": perceptron,
    "digits_cnn": lambda c: DigitsCNN(c, 3),
    "digits_cnn_bn": lambda c: DigitsCNN(c, 3, batch_norm=True),
    "resnet": lambda c: ResNet(BasicBlock, (1, 1), (3, 4), c),
    "resnet_7x7_stem": lambda c: ResNet(BasicBlock, (1, 1), (3, 4), c, stem="7x7"),
    "bottleneck": lambda c: ResNet(Bottleneck, (1, 1), (2, 2), c),
    "wide_resnet": narrow_wide_resnet,
    "odd": Odd,
    "reusing": Reusing,
}
SMOOTH: dict[str, Callable[[int], nn.Module]] = {
    "simple_vit": lambda c: SimpleViT(c, image_size=8, width=8, depth=1, heads=2, head_width=3, mlp_width=6),
    "attentive": Attentive,
    "smooth_cnn": smooth_cnn,
}
NETWORKS = PIECEWISE_LINEAR | SMOOTH


def build(name: str, num_classes: int = 3) -> nn.Module:
    """A network in float64, its normalizations off their initial values, in train mode as a user may leave it."""
    torch.manual_seed(0)
    model = NETWORKS[name](num_classes).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm):
            for name, low, high in (
                ("weight", 0.5, 1.5),
                ("bias", 0.1, 0.6),
                ("running_mean", -0.3, 0.3),
                ("running_var", 0.5, 1.5),
            ):
                tensor = getattr(module, name, None)
                if tensor is not None:
                    nn.init.uniform_(tensor, low, high)
    return model.train()


def samples(num_samples: int, num_classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(num_samples, 3, 8, 8, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(0, num_classes, (num_samples,), generator=generator)


def dense_vector(dim: int) -> Tensor:
    return torch.randn(1, dim, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def hessian_rows(
    model: nn.Module, inputs: Tensor, targets: Tensor, names: Sequence[str], V: Tensor, loss: Loss = cross_entropy
) -> Tensor:
    """(p, n): products of the Hessian with the rows of V by plain double backward, independent of the package."""
    was_training = model.training
    model.eval()
    parameters = [dict(model.named_parameters())[name] for name in names]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        value = loss(model(inputs), targets)
        gradient = torch.autograd.grad(value, parameters, create_graph=True, materialize_grads=True)
    flat = torch.cat([part.flatten() for part in gradient])
    if not flat.requires_grad:  # the outputs do not depend on these parameters
        model.train(was_training)
        return torch.zeros_like(V)
    rows = []
    for v in V:
        parts = torch.autograd.grad(flat @ v, parameters, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([part.flatten() for part in parts]))
    model.train(was_training)
    return torch.stack(rows)


def gauss_newton(model: nn.Module, inputs: Tensor, targets: Tensor, names: Sequence[str]) -> Tensor:
    """(n, n): Σ J_iᵀ (diag(p) − p pᵀ) J_i / N, written out."""
    was_training = model.training
    model.eval()
    parameters = [dict(model.named_parameters())[name] for name in names]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        outputs = model(inputs)
    rows = []
    for output in outputs.flatten():
        parts = torch.autograd.grad(output, parameters, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([part.flatten() for part in parts]))
    J = torch.stack(rows).view(*outputs.shape, -1)
    p = outputs.detach().softmax(dim=1)
    S = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    model.train(was_training)
    return torch.einsum("ncx,ncd,ndy->xy", J, S, J) / len(inputs)

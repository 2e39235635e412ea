"""What the rows of a factor are collected in, chunk by chunk of samples."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from analysis.sharpness.hessian.engines.engine import Engine, FromFactors
from analysis.sharpness.hessian.engines.factors import Rows, Unmultiplied, rows_alone
from analysis.sharpness.hessian.engines.forms import Form, gram_form
from analysis.sharpness.hessian.engines.gauss_newton import GaussNewtonFactor, GaussNewtonGram, gram
from analysis.sharpness.hessian.engines.implicit_factor import ImplicitFactor
from analysis.sharpness.hessian.engines.pooled_factor import PooledFactor
from analysis.sharpness.hessian.setting import Block, Setting
from analysis.sharpness.hessian.tape.linear_maps import UnsupportedError
from analysis.sharpness.problem import Problem


class FactorStore:
    """Collects an (r, n) factor chunk by chunk; rows are scaled by 1/√N."""

    def __init__(self, problem: Problem, dim: int, rank: int, workspace: Tensor | None = None) -> None:
        """`workspace`: memory to use, of at least r·n entries; it must be free as long as the factor is in use."""
        self._num_samples, self._rank, self._done = problem.num_samples, rank, 0
        num_rows = problem.num_samples * rank
        if workspace is None:
            workspace = torch.empty(num_rows * dim, dtype=problem.dtype, device=problem.device)
        self._G = workspace[: num_rows * dim].view(num_rows, dim)

    def add(self, rows: Rows) -> bool:
        """Add the rows of the next samples; True when those of all samples have been added."""
        target = self._G[self._done * self._rank : (self._done + rows.num_samples) * self._rank]
        rows.write(target.view(rows.num_samples, self._rank, -1), self._num_samples**-0.5)
        self._done += rows.num_samples
        return self._done == self._num_samples

    def factor(self) -> GaussNewtonFactor:
        """The finished factor, which this store no longer holds."""
        G, self._G = self._G, self._G.new_empty(0)
        return GaussNewtonFactor(G)


class DenseStore:
    """Adds up GᵀG (n, n) chunk by chunk: for n ≤ r smaller than G, and cheaper to multiply with."""

    def __init__(self, problem: Problem, dim: int, rank: int) -> None:
        self._num_samples, self._rank, self._done = problem.num_samples, rank, 0
        self._H = torch.zeros(dim, dim, dtype=problem.dtype, device=problem.device)

    def add(self, rows: Rows) -> bool:
        """Add the rows of the next samples; True when those of all samples have been added."""
        part = self._H.new_empty(rows.num_samples, self._rank, len(self._H))
        rows.write(part, self._num_samples**-0.5)
        self._H += gram(part.flatten(0, 1).T)
        self._done += rows.num_samples
        return self._done == self._num_samples

    def block(self) -> GaussNewtonGram:
        """The finished block."""
        return GaussNewtonGram(self._H)


class PooledStore:
    """Collects the factor of a layer whose channels are pooled (`PooledFactor`); Q is scaled by 1/√N."""

    def __init__(self, problem: Problem, dim: int, rank: int, num_channels: int) -> None:
        self._u = torch.empty(problem.num_samples, rank, num_channels, dtype=problem.dtype, device=problem.device)
        self._Q = self._u.new_empty(problem.num_samples, 1, dim)
        self._done = 0

    def add(self, rows: Rows) -> bool:
        """Add the rows of the next samples; True when those of all samples have been added."""
        assert rows.scales is not None
        assert rows.write_matrices is not None
        added = slice(self._done, self._done + rows.num_samples)
        self._u[added] = rows.scales
        rows.write_matrices(self._Q[added], len(self._Q) ** -0.5)
        self._done += rows.num_samples
        return self._done == len(self._Q)

    def factor(self) -> PooledFactor:
        """The finished factor."""
        return PooledFactor(self._u, torch.unflatten(self._Q[:, 0], 1, (self._u.shape[2], -1)))


class ImplicitStore:
    """Collects what the rows of a factor are made of, chunk by chunk, in tensors of all samples.

    Products work on as many samples at a time as is fastest for them, however small the chunks of the pass were.
    """

    def __init__(self, problem: Problem, name: str, rank: int) -> None:
        self._name, self._num_samples, self._rank = name, problem.num_samples, rank
        self._parameter = problem.parameters[name]
        self._uses: list[Unmultiplied] = []
        self._done = 0

    def add(self, rows: Rows) -> bool:
        """Add the rows of the next samples; True when those of all samples have been added.

        Raises:
            UnsupportedError: the rows are those of no module, and far larger than what a module's would be made of; or
                other uses than in earlier chunks.
        """
        found = self._found(rows)
        if not self._done:
            self._uses = [use.room_for(self._num_samples) for use in found]
        if [use.map for use in found] != [use.map for use in self._uses]:
            raise UnsupportedError(f"{self._name} is used in another way in some samples")
        added = slice(self._done, self._done + rows.num_samples)
        for use, all_samples in zip(found, self._uses, strict=True):
            all_samples.samples(added).copy_(use)
        self._done += rows.num_samples
        return self._done == self._num_samples

    def _found(self, rows: Rows) -> Sequence[Unmultiplied]:
        if rows.unmultiplied is not None:
            return rows.unmultiplied()
        if self._parameter.ndim > 1:
            raise UnsupportedError(f"{self._name} is used outside its module, so that its factor is known written out")
        written = self._parameter.new_empty(rows.num_samples, self._rank, len(self._parameter))
        rows.write(written, 1.0)
        return [rows_alone(written)]

    def factor(self) -> ImplicitFactor:
        """The finished factor, which this store no longer holds."""
        uses, self._uses = self._uses, []
        num_outputs = len(self._parameter)
        return ImplicitFactor([uses], self._num_samples, (num_outputs, self._parameter.numel() // num_outputs))


Store = FactorStore | PooledStore | ImplicitStore | DenseStore


def store_for(form: Form, name: str, rows: Rows, problem: Problem, rank: int, workspace: Tensor | None = None) -> Store:
    """The store that keeps rows like these in a form; see `FactorStore` for the workspace."""
    dim = problem.parameters[name].numel()
    if form is Form.SUMMED:
        return DenseStore(problem, dim, rank)
    if form is Form.IMPLICIT:
        return ImplicitStore(problem, name, rank)
    if rows.scales is None:
        return FactorStore(problem, dim, rank, workspace)
    return PooledStore(problem, dim, rank, rows.scales.shape[2])


def forms_of(setting: Setting, engines: Mapping[Block, Engine]) -> dict[str, Form]:
    """The form for each parameter of blocks that come from factors.

    GᵀG says nothing of GGᵀ, which the block of all layers is a sum of: what is in both is kept as a factor.
    """
    recipes = {block: engine.build for block, engine in engines.items() if isinstance(engine.build, FromFactors)}
    forms: dict[str, Form] = {}
    for block, recipe in sorted(recipes.items(), key=lambda item: item[0].layer is None):
        for name in block.names:
            if name in setting.unreached or (block.layer is None and forms.get(name, Form.SUMMED) is not Form.SUMMED):
                continue
            forms[name] = gram_form(setting, name) if block.layer is None else recipe.form(setting, name)
    return forms

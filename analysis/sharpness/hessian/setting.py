"""What an engine is chosen and built for: a block, and the setting it stands in."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from analysis.errors import AnalysisError
from analysis.sharpness.hessian.cost import Profile
from analysis.sharpness.hessian.reach import check_replaceable, cut_off, unreached
from analysis.sharpness.hessian.tape.linear_maps import UnsupportedError
from analysis.sharpness.hessian.tape.tape import Tape, tape_of
from analysis.sharpness.memory import found_budget, taken_memory
from analysis.sharpness.problem import Problem, held_still

CURVATURES = ("hessian", "gauss_newton")
SHARE = 0.7  # of what the budget leaves; the caller's vectors and the allocator take the rest
FACTOR_SHARE = 0.8  # of this, what factors may take
# Bytes of one activation that are worked on at a time on a CPU: measured the fastest; more do not fit into the caches.
CACHED_BYTES = 2**22
WEIGHTS_SHARE = 4  # the activations of a chunk are at least so many times the weights


@dataclass(frozen=True)
class Block:
    """The rows and columns of the Hessian that one operator multiplies with."""

    layer: str | None  # None: all trainable parameters
    names: tuple[str, ...]  # of its parameters; of a layer's only its own


@dataclass(frozen=True)
class Setting:
    """Everything that the choice of an engine depends on, besides the block."""

    problem: Problem
    curvature: str
    profile: Profile
    tape: Tape | None
    tape_reason: str  # why there is no tape
    memory: int  # bytes for what an engine holds
    num_products: float
    spectrum: bool  # whether the exact spectrum would serve instead of the products
    unreached: frozenset[str] = frozenset()  # parameters that no output depends on
    cut: frozenset[str] = frozenset()  # parameters whose gradient can't be differentiated again

    @classmethod
    def of(
        cls, problem: Problem, curvature: str, memory_budget: int | None, num_products: float, spectrum: bool = False
    ) -> "Setting":
        """From a tape and a profile of the network.

        Raises:
            AnalysisError: no such curvature, too little memory, or a network in which no weights can be put in the
                places of its parameters.
        """
        if curvature not in CURVATURES:
            raise AnalysisError(f"curvature must be one of {', '.join(CURVATURES)}; got {curvature!r}")
        taken = taken_memory(problem.device)
        memory_budget = found_budget(problem.device) if memory_budget is None else memory_budget
        if memory_budget <= taken:
            raise AnalysisError(
                f"memory_budget must be more than the {taken / 2**20:.0f} MiB that the process already takes; got "
                f"{memory_budget / 2**20:.0f} MiB"
            )
        tape, reason = None, ""
        try:
            if not isinstance(problem.inputs, Tensor):
                raise UnsupportedError("inputs that are not one tensor")
            with held_still(problem.model):
                tape = tape_of(problem.model)
        except UnsupportedError as error:
            reason = str(error)
        check_replaceable(problem)
        memory = int(SHARE * (memory_budget - taken))
        profile = Profile.of(problem)
        reach = unreached(problem), cut_off(problem) if tape is None else frozenset()
        return cls(problem, curvature, profile, tape, reason, memory, num_products, spectrum, *reach)

    def written_out(self, names: Collection[str]) -> "Setting":
        """The same, where the factors of these parameters come as rows, with no inputs and cotangents to keep."""
        shapes = {name: shape for name, shape in self.profile.shapes.items() if name not in names}
        return replace(self, profile=replace(self.profile, shapes=shapes))

    @property
    def factor_memory(self) -> int:
        """Bytes for factors; the pass that makes them needs the rest."""
        return int(FACTOR_SHARE * self.memory)

    @property
    def rank(self) -> int:
        """R, the rank of the loss curvature."""
        return self.problem.rank

    @property
    def num_rows(self) -> int:
        """N·R, the rows of a factor."""
        return self.problem.num_samples * self.rank

    def chunk(self, bytes_a_sample: int) -> int:
        """How many samples fit into memory at a time, at least one."""
        return max(1, min(self.problem.num_samples, self.memory // max(1, bytes_a_sample)))

    def cached_chunk(self, names: Sequence[str], cotangents: int = 1) -> int:
        """How many samples to work on at a time so that, on a CPU, their largest activation stays in the caches.

        But not so few that the weights, which every chunk goes through, outweigh the activations of the chunk.

        Args:
            names: the parameters whose module and the later ones are run.
            cotangents: how many tensors of an activation's size are worked on together.
        """
        profile, num_samples = self.profile, self.problem.num_samples
        fitting = self.chunk((4 + self.rank) * profile.activations)
        if self.problem.device.type != "cpu":
            return fitting
        cached = CACHED_BYTES // max(1, cotangents) // max(1, max(profile.crest[name] for name in names))
        balanced = WEIGHTS_SHARE * sum(profile.sizes.values()) * profile.itemsize // max(1, profile.activations)
        most = max(1, min(max(cached, balanced), fitting))
        return math.ceil(num_samples / math.ceil(num_samples / most))  # chunks of nearly equal size

"""Settings of the measures that Rényi sharpness is held against, a section of the sweep file a family."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
Several = Field(min_length=1)


class Section(BaseModel):
    """A frozen section that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WorstCaseSettings(Section):
    """SAM and ASAM sharpness: the same ρ for one step and for many.

    Lists of Andriushchenko et al. 2023 for CIFAR and ResNet-18, and the ρ of the optimizers (0.05 and 0.5).
    """

    batch_size: Annotated[int, Field(gt=0, description="samples that one perturbation is for (m-sharpness)")] = 128
    num_steps: Annotated[int, Field(gt=0, description="steps of the n-step measures")] = 20
    eta: Annotated[float, Field(ge=0, description="η of one-step `asam`")] = 0.01
    sam: Annotated[tuple[Positive, ...], Several] = (0.05, 0.25, 0.5, 1.0, 2.0)
    asam: Annotated[tuple[Positive, ...], Several] = (0.25, 0.5, 1.0, 2.0)
    sam_linf: Annotated[tuple[Positive, ...], Several] = (0.0005, 0.001, 0.002, 0.004)
    asam_linf: Annotated[tuple[Positive, ...], Several] = (0.001, 0.002, 0.004, 0.008)

    def rhos(self, measure: str) -> tuple[float, ...]:
        """The ρ of a measure, which those of many steps share with those of one."""
        rhos: tuple[float, ...] = getattr(self, measure.removesuffix("_n"))
        return rhos


class AverageSettings(Section):
    """Average sharpness: the list of Andriushchenko et al. 2023 for CIFAR and ResNet-18."""

    sigmas: Annotated[tuple[Positive, ...], Several] = (0.05, 0.1, 0.2, 0.4)
    num_draws: Annotated[int, Field(ge=2)] = 100


class PacBayesSettings(Section):
    """How the σ of PAC-Bayes measures is looked for: as Jiang et al. 2019."""

    target: Annotated[float, Field(gt=0, lt=1, description="drop of the accuracy")] = 0.1
    tolerance: Annotated[float, Field(gt=0, description="of the drop, at which the bisection ends")] = 0.01
    largest: Annotated[float, Field(gt=0, description="largest σ that is tried")] = 2.0
    num_halvings: Annotated[int, Field(gt=0)] = 15
    num_draws: Annotated[int, Field(ge=2, description="noise draws for each σ")] = 10
    fold_batch_norm: Annotated[bool, Field(description="fold each batch-norm into the layer before it first")] = True


class HaarSettings(Section):
    """The loss under Haar-distributed perturbations of the samples: as the authors' code."""

    rhos: Annotated[tuple[Positive, ...], Several] = (0.2,)
    num_draws: Annotated[int, Field(ge=2)] = 300

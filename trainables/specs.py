"""What determines the weights of a trained network, and the identity made of it. Imports no torch."""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MODEL_NAMES = (
    *("digits_cnn", "digits_cnn_bn"),
    *("resnet18", "resnet34", "resnet18_tiny", "resnet20", "resnet56", "resnet50_tiny"),
    *("wide_resnet28_10", "simple_vit"),
)

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
ModelName = Annotated[str, Field(min_length=1)]


class Spec(BaseModel):
    """A frozen part of a trial's specification that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSpec(Spec):
    """The images a trial learns from; where they lie on disk is not part of it."""

    dataset: Literal["digits"]


class TrainingSpec(Spec):
    """How long and in what steps a trial trains."""

    epochs: PositiveInt
    batch_size: PositiveInt
    warmup_epochs: NonNegativeInt = 0
    schedule: Literal["constant", "cosine"] = "cosine"

    @model_validator(mode="after")
    def _warmup_ends(self) -> "TrainingSpec":
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs ({self.warmup_epochs}) must be less than epochs ({self.epochs})")
        return self


class SGDSpec(Spec):
    """Stochastic gradient descent, PyTorch's semantics: weight decay is added to the gradient of all parameters."""

    name: Literal["sgd"]
    learning_rate: PositiveFloat
    momentum: Fraction = 0.9
    weight_decay: NonNegativeFloat = 0.0


class AdamSpec(Spec):
    """Adam with L2-coupled weight decay (not AdamW) and PyTorch's default betas."""

    name: Literal["adam"]
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat = 0.0


OPTIMIZER_SPECS: dict[str, type[Spec]] = {"sgd": SGDSpec, "adam": AdamSpec}
OptimizerSpec = Annotated[SGDSpec | AdamSpec, Field(discriminator="name")]

# Short forms for labels, in the order in which people read them.
_LABELS = {"learning_rate": "lr", "batch_size": "bs", "weight_decay": "wd", "seed": "seed"}


class TrialSpec(Spec):
    """One trial: everything that determines the trained weights, and nothing else."""

    data: DataSpec
    model: ModelName
    training: TrainingSpec
    optimizer: OptimizerSpec
    seed: NonNegativeInt = 0

    @property
    def trial_id(self) -> str:
        """Short SHA-256 of the canonical JSON of all fields that differ from their defaults.

        Leaving defaults out keeps the identity of finished trials when a later version adds an optional field; so a
        default is never changed.
        """
        canonical = json.dumps(self.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def parameters(self) -> dict[str, Any]:
        """All fields in one flat mapping, as they are logged: dataset, model, optimizer, learning_rate, …"""
        optimizer = self.optimizer.model_dump()
        return {
            **self.data.model_dump(),
            "model": self.model,
            "optimizer": optimizer.pop("name"),
            **optimizer,
            **self.training.model_dump(),
            "seed": self.seed,
        }

    @property
    def label(self) -> str:
        """A readable name, what varies most first: `sgd lr=0.1 bs=64 wd=0.0001 seed=0 digits_cnn`."""
        parameters = self.parameters()
        values = [f"{short}={parameters[name]:g}" for name, short in _LABELS.items()]
        return " ".join([self.optimizer.name, *values, self.model])

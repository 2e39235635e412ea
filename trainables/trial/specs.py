"""The specification of a trial: everything that determines the trained weights, and the id made of it."""

import hashlib
import json
import math
import re
from functools import cached_property
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from analysis.errors import closest
from analysis.section import Section
from analysis.settings import LIMITS, SILENCE_LIMIT, Duration
from trainables.catalogue import DATA_SETS
from trainables.trial.recipe import contradictions, misfits
from trainables.trial.storage import absolute


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _whole(value: Any, least: int, most: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _channels(value: Any) -> Any:
    if value is not None and not (_whole(value, 1) and value in (1, 3)):
        raise ValueError(f"must be 3 (colour) or 1 (gray); got {value!r}")
    return value


def _size(value: Any) -> Any:
    pair = isinstance(value, list | tuple) and len(value) == 2 and all(_whole(side, 1) for side in value)
    if value is not None and not (pair or _whole(value, 1)):
        raise ValueError(f"must be a whole number of pixels, at least 1, or [height, width]; got {value!r}")
    return value


def _background(value: Any) -> Any:
    triple = isinstance(value, list | tuple) and len(value) == 3 and all(_whole(each, 0, 255) for each in value)
    if not (triple or value in ("black", "white")):
        raise ValueError(f"must be black, white, or [red, green, blue] of 0 to 255; got {value!r}")
    return value


def _known_data_set(name: str) -> str:
    if name not in DATA_SETS:
        raise ValueError(f"unknown value {name!r}; {closest(name, DATA_SETS)}")
    return name


def _several(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError("is a list of epochs, and in a grid a list of such lists: [[30, 60]]")
    return value


def _zero(value: Any) -> Any:
    return 0.0 if value is None else value


def _not_one(order: float) -> float:
    if order == 1:
        raise ValueError("must not be 1, where RSAM's perturbation is not defined")
    return order


PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Degrees = Annotated[float, Field(ge=0, le=180)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
Smoothing = Annotated[Fraction, BeforeValidator(_zero)]
RSAMOrder = Annotated[PositiveFloat, AfterValidator(_not_one)]
ModelName = Annotated[str, Field(min_length=1)]
Location = Annotated[str, Field(min_length=1), AfterValidator(absolute)]
Locations = Annotated[tuple[Location, ...], BeforeValidator(_list)]
Channels = Annotated[Literal[1, 3], BeforeValidator(_channels)]
Size = Annotated[int | tuple[int, int], BeforeValidator(_size)]
Background = Annotated[Literal["black", "white"] | tuple[int, int, int], BeforeValidator(_background)]
Milestones = Annotated[tuple[PositiveInt, ...], Field(min_length=1), BeforeValidator(_several)]
BatchNormSecondPass = Literal["freeze", "update"]
PLAIN_EPOCHS = 5  # the paper's 5; its authors' code takes 6


OF_PARQUET = (
    *("name", "train", "test", "image", "label", "channels", "background", "resize", "crop", "on_damaged"),
    *("fingerprint", "known_by"),
)


class Spec(Section):
    """A part of a trial's specification."""

    NOT_IDENTITY: ClassVar[frozenset[str]] = frozenset()  # fields that do not change the result, nor the trial's id


def _refuse(spec: Spec, messages: list[str]) -> None:
    """Make all of these problems known at once, each as an error of its own."""
    if messages:
        errors = [
            InitErrorDetails(type=PydanticCustomError("value_error", "{error}", {"error": message}), input=spec)
            for message in messages
        ]
        raise ValidationError.from_exception_data(type(spec).__name__, errors)


class DataSpec(Spec):
    """The images a trial learns from. Their paths are not part of the trial's id.

    A Parquet set is known by the `fingerprint` of its content, and shown by its `name`, by default that of the folder
    of its training files. Trials of a version that took no fingerprints are known by the name (`known_by: name`).
    """

    NOT_IDENTITY = frozenset({"root", "train", "test", "known_by"})

    dataset: Annotated[str, AfterValidator(_known_data_set)]
    root: Location | None = None  # folder of the archives; left out, each machine's RENYI_DATA, or ~/data
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] | None = None
    train: Locations = ()  # Parquet files: paths, globs, addresses
    test: Locations = ()
    image: str = "image"  # column names
    label: str = "label"
    channels: Channels | None = None  # None: 3 if any image is coloured, else 1
    background: Background = "black"  # behind transparent pixels: a colour, or red, green and blue of 0 to 255
    resize: Size | None = None  # the shorter side, or height and width
    crop: Size | None = None  # the centre: a square, or height and width
    on_damaged: Literal["stop", "skip"] = "stop"  # what to do about images that can't be decoded
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = None  # of the content; found in the files
    known_by: Literal["name", "content"] | None = None  # None: name where the store has such trials, else content
    mean: tuple[float, ...] | None = None  # of the pixels in [0, 1], a value a channel; None: the data set's own
    std: tuple[PositiveFloat, ...] | None = None
    validation: PositiveInt | None = None  # how many training images are held out, the same in every trial

    @model_validator(mode="before")
    @classmethod
    def _named_after_its_folder(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or raw.get("dataset") != "parquet" or raw.get("name"):
            return raw
        train = _list(raw.get("train"))
        if not (isinstance(train, list | tuple) and train and isinstance(train[0], str)):
            return raw
        folder = PurePosixPath(absolute(train[0]).partition("*")[0].rpartition("/")[0]).name
        return {**raw, "name": re.sub(r"[^A-Za-z0-9_.-]|^[_.-]", "-", folder).lstrip("-") or "parquet"}

    @model_validator(mode="after")
    def _one_validation_set(self) -> "DataSpec":
        if self.dataset == "tiny_imagenet" and self.validation is not None:
            raise ValueError("tiny_imagenet has validation images of its own; leave validation out")
        return self

    @model_validator(mode="after")
    def _keys_of_parquet(self) -> "DataSpec":
        if self.dataset == "parquet":
            for key in ("train", "test"):
                if not getattr(self, key):
                    raise ValueError(f"parquet needs {key}: a Parquet file, a glob, or a list of them")
        else:
            for key in (each for each in OF_PARQUET if each in self.model_fields_set):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"{key} is for dataset: parquet; {self.dataset} takes root")
        return self

    @property
    def is_known_by_content(self) -> bool:
        """Whether the fingerprint, and not the name, is part of the trial's id."""
        return self.fingerprint is not None and self.known_by != "name"


class TrainingOptions(Spec):
    """The options of training that have defaults, and the number of epochs. A grid may vary any of them."""

    NOT_IDENTITY = frozenset({"channels_last", "compile", "deterministic", "evaluate_every", "keep_best", *LIMITS})

    epochs: PositiveInt  # the length of the schedule, and the maximum
    warmup_epochs: NonNegativeInt = 0
    schedule: Literal["constant", "cosine", "multi_step"] = "cosine"
    learning_rate_floor: NonNegativeFloat = 0.0  # where the cosine ends
    milestones: Milestones | None = None  # epochs from which the rate is multiplied by decay_factor once more
    decay_factor: OpenFraction | None = None  # 0.1 where left out
    iterations: PositiveInt | None = None  # stop after this many steps, if that comes first
    target_train_loss: PositiveFloat | None = None  # stop after the first epoch with a mean training loss this low
    augment: bool = False  # random crops and flips of the training images
    crop_padding: NonNegativeInt = 4  # black pixels around the image before it is cropped to its size
    flip: bool = True  # half of the images, left to right
    rotation: Degrees = 0.0  # the largest random angle, either way
    cutout: PositiveInt | None = None  # pixels of a side of the square that is hidden of each training image
    mixup: PositiveFloat | None = None  # α of Beta(α, α), from which the share of each of two blended images comes
    label_smoothing: Smoothing = 0.0  # of the loss that training lowers; no loss that is reported or measured has it
    drop_last: bool = False  # leave out the last incomplete batch of an epoch
    ema_decay: OpenFraction | None = None  # a step, of the average of the weights that is evaluated, kept and measured
    gradient_clip: PositiveFloat | None = None  # largest norm of the final gradient
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # of forward and backward passes, by autocast
    # These change how the result is computed and watched, not the result.
    channels_last: bool = False
    compile: bool = False
    deterministic: bool = False  # refuse kernels whose results vary from run to run
    keep_best: bool = False  # one more checkpoint, of the best epoch
    evaluate_every: PositiveInt = 1  # epochs from one evaluation to the next; the last epoch is evaluated always
    time_limit: Duration | None = None  # since a trial was started or resumed; then it is ended and fails
    silence_limit: Duration | None = SILENCE_LIMIT  # without a step or a line of output; then likewise


class TrainingSpec(TrainingOptions):
    """All options of training."""

    batch_size: PositiveInt

    @model_validator(mode="after")
    def _consistent(self) -> "TrainingSpec":
        _refuse(self, contradictions(self))
        return self


class MomentumSpec(Spec):
    """Stochastic gradient descent, PyTorch's semantics: weight decay is added to the gradient of all parameters."""

    learning_rate: PositiveFloat
    momentum: Fraction = 0.9
    weight_decay: NonNegativeFloat = 0.0
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "MomentumSpec":
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov: true needs a momentum above 0")
        return self


class SGDSpec(MomentumSpec):
    """Plain SGD."""

    name: Literal["sgd"]


class AdamSpec(Spec):
    """Adam with L2-coupled weight decay (not AdamW) and PyTorch's default betas."""

    name: Literal["adam"]
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat = 0.0


class AdamWSpec(Spec):
    """Adam with decoupled weight decay, w ← w − lr·λ·w beside Adam's step, and PyTorch's default betas."""

    name: Literal["adamw"]
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat = 0.01  # PyTorch's


class SAMSpec(MomentumSpec):
    """Sharpness-aware minimization over SGD."""

    name: Literal["sam"]
    rho: NonNegativeFloat = 0.05
    bn_second_pass: BatchNormSecondPass = "freeze"


class ASAMSpec(MomentumSpec):
    """Adaptive sharpness-aware minimization over SGD."""

    name: Literal["asam"]
    rho: NonNegativeFloat = 0.5
    eta: NonNegativeFloat = 0.01
    bn_second_pass: BatchNormSecondPass = "freeze"


class EigenSAMSpec(MomentumSpec):
    """SAM leaned toward the Hessian's leading eigenvector, over SGD."""

    name: Literal["eigen_sam"]
    rho: NonNegativeFloat = 0.05
    alpha: NonNegativeFloat = 0.2
    period: PositiveInt = 100  # steps between two updates of the eigenvector
    power_iterations: PositiveInt = 5  # of each update
    renormalize: bool = False
    bn_second_pass: BatchNormSecondPass = "freeze"


class RSAMSpec(MomentumSpec):
    """Rényi sharpness-aware minimization over SGD, after a warm-up of plain steps."""

    name: Literal["rsam"]
    rho: NonNegativeFloat = 0.65
    order: RSAMOrder = 1.2
    perturbation: Literal["paper", "power", "exact", "per_tensor"] = "paper"
    plain_epochs: NonNegativeInt = PLAIN_EPOCHS
    plain_until_accuracy: Fraction | None = None  # on the validation images, in place of plain_epochs
    max_eps_norm: PositiveFloat | None = None
    bn_second_pass: BatchNormSecondPass = "freeze"

    @model_validator(mode="after")
    def _consistent(self) -> "RSAMSpec":
        if self.perturbation in ("power", "exact") and self.order < 0.5:
            raise ValueError(f"order must be at least 0.5 with perturbation {self.perturbation}; got {self.order:g}")
        if self.plain_until_accuracy is not None and self.plain_epochs != PLAIN_EPOCHS:
            raise ValueError("plain_epochs and plain_until_accuracy exclude each other; keep one")
        return self


class LookSAMSpec(MomentumSpec):
    """SAM whose second gradient is taken every few steps only, over SGD."""

    name: Literal["look_sam"]
    rho: NonNegativeFloat = 0.05
    period: PositiveInt = 5  # steps from one of SAM to the next
    alpha: NonNegativeFloat = 0.7
    bn_second_pass: BatchNormSecondPass = "freeze"


class GSAMSpec(MomentumSpec):
    """Surrogate gap guided sharpness-aware minimization over SGD."""

    name: Literal["gsam"]
    rho: NonNegativeFloat = 0.05
    alpha: NonNegativeFloat = 0.4
    rho_min: NonNegativeFloat | None = None  # at learning rate 0: rho falls with the learning rate
    bn_second_pass: BatchNormSecondPass = "freeze"

    @model_validator(mode="after")
    def _consistent(self) -> "GSAMSpec":
        if self.rho_min is not None and self.rho_min > self.rho:
            raise ValueError(f"rho_min ({self.rho_min:g}) must be at most rho ({self.rho:g})")
        return self


class FriendlySAMSpec(MomentumSpec):
    """SAM along the noise of the gradient, over SGD."""

    name: Literal["friendly_sam"]
    rho: NonNegativeFloat = 0.1
    sigma: NonNegativeFloat = 1.0
    mean_decay: Fraction = 0.6  # of the gradient's mean, a step
    bn_second_pass: BatchNormSecondPass = "freeze"


OPTIMIZER_SPECS: dict[str, type[Spec]] = {
    "sgd": SGDSpec,
    "adam": AdamSpec,
    "adamw": AdamWSpec,
    "sam": SAMSpec,
    "asam": ASAMSpec,
    "eigen_sam": EigenSAMSpec,
    "rsam": RSAMSpec,
    "look_sam": LookSAMSpec,
    "gsam": GSAMSpec,
    "friendly_sam": FriendlySAMSpec,
}
OptimizerSpec = Annotated[
    SGDSpec
    | AdamSpec
    | AdamWSpec
    | SAMSpec
    | ASAMSpec
    | EigenSAMSpec
    | RSAMSpec
    | LookSAMSpec
    | GSAMSpec
    | FriendlySAMSpec,
    Field(discriminator="name"),
]

# Added since version 0.1, whose runs have no such parameter: logged only where they differ from their defaults, so that
# an older run and a newer one of the same settings have the same parameters.
_LOGGED_WHERE_SET = frozenset({"nesterov", "label_smoothing", "drop_last"})

# Short names of parameters, in the order of labels.
_LABELS = {
    "rho": "rho",
    "order": "order",
    "learning_rate": "lr",
    "batch_size": "bs",
    "weight_decay": "wd",
    "label_smoothing": "smoothing",
    "cutout": "cutout",
    "mixup": "mixup",
    "ema_decay": "ema",
    "seed": "seed",
}


class TrialSpec(Spec):
    """One trial: everything that determines the trained weights, and the options that do not."""

    data: DataSpec
    model: ModelName
    training: TrainingSpec
    optimizer: OptimizerSpec
    seed: NonNegativeInt = 0
    code: str | None = None  # the digest of the network's sources, where the sweep makes it a part of the identity

    @model_validator(mode="after")
    def _fits_the_images(self) -> "TrialSpec":
        known = DATA_SETS[self.data.dataset]
        if known.train_images:
            _refuse(self, misfits(self.training, known.train_images - (self.data.validation or 0), known.side))
        return self

    @cached_property
    def trial_id(self) -> str:
        """Short SHA-256 of the canonical JSON of all fields that determine the weights and differ from their defaults.

        Since defaults are left out, finished trials keep their ids when a later version adds an optional field. For the
        same reason a default must never change.
        """
        known_by_the_other = {"name"} if self.data.is_known_by_content else {"fingerprint"}
        left_out = {"data": DataSpec.NOT_IDENTITY | known_by_the_other, "training": TrainingSpec.NOT_IDENTITY}
        fields = self.model_dump(mode="json", exclude_defaults=True)
        for part, names in left_out.items():
            for name in names & fields[part].keys():
                del fields[part][name]
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]

    def parameters(self) -> dict[str, Any]:
        """All fields in one flat mapping, as they are logged: dataset, model, optimizer, learning_rate, …

        Fields that are not set are left out, and so are paths, which may differ from one start to the next. Fields that
        version 0.1 did not have are left out where they are at their defaults.
        """
        data = self.data.model_dump(exclude=set(DataSpec.NOT_IDENTITY), exclude_defaults=True)
        data["dataset"] = data.pop("name", self.data.dataset)
        optimizer = self.optimizer.model_dump()
        fields = {
            **data,
            "model": self.model,
            "optimizer": optimizer.pop("name"),
            **optimizer,
            **self.training.model_dump(exclude=set(TrainingSpec.NOT_IDENTITY)),
            "seed": self.seed,
        }
        if self.training.milestones is not None:
            fields["milestones"] = " ".join(map(str, self.training.milestones))
        return {
            name: value
            for name, value in fields.items()
            if value is not None and (value or name not in _LOGGED_WHERE_SET)
        }

    @property
    def label(self) -> str:
        """A readable name: `sgd lr=0.1 bs=64 wd=0.0001 seed=0 digits_cnn`. What varies most comes first."""
        parameters = self.parameters()
        values = [f"{short}={parameters[name]:g}" for name, short in _LABELS.items() if name in parameters]
        return " ".join([self.optimizer.name, *values, self.model])

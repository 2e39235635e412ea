"""A callback of the Hugging Face `Trainer` that takes layer spectra. Needs the package `transformers`."""

from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainables.callbacks.spectrum_watch import SpectrumWatch


class SpectrumCallback(TrainerCallback):  # type: ignore[misc]  # the package may be missing, and then has no types
    """Calls a `SpectrumWatch` after each epoch, and adds its values to the trainer's `state.log_history`."""

    def __init__(self, watch: SpectrumWatch) -> None:
        self.watch = watch

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: nn.Module, **others: Any
    ) -> None:
        """Measure in the main process alone; the others wait for it at the next step."""
        epoch = round(state.epoch)
        if state.is_world_process_zero and self.watch(model, epoch):
            state.log_history.append({"epoch": state.epoch, "step": state.global_step, **self.watch.values(epoch)})

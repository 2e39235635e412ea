"""A Lightning callback that takes layer spectra while a `Trainer` fits. Needs the package `lightning`."""

from lightning.pytorch import Callback, LightningModule, Trainer

from trainables.callbacks.spectrum_watch import SpectrumWatch


class SpectrumCallback(Callback):  # type: ignore[misc]  # the package may be missing, and then has no types
    """Calls a `SpectrumWatch` after each training epoch, and logs its values with the module's own logger.

    Args:
        watch: what to measure, and how often.
        network: the submodule that is the network, as `net`; left out, the LightningModule itself, whose `forward`
            then gives the outputs.
    """

    def __init__(self, watch: SpectrumWatch, network: str = "") -> None:
        self.watch, self.network = watch, network

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure in the main process alone; the others wait for it at the next step."""
        epoch = trainer.current_epoch + 1
        if trainer.is_global_zero and self.watch(pl_module.get_submodule(self.network), epoch):
            pl_module.log_dict(self.watch.values(epoch), rank_zero_only=True)

"""Spectra of layers while a network trains: in a loop of one's own, in Lightning, in the Hugging Face Trainer.

`trainables.callbacks.lightning` and `trainables.callbacks.huggingface` need these packages; nothing here imports them.
"""

from trainables.callbacks.spectrum_watch import SpectrumWatch

__all__ = ["SpectrumWatch"]

"""Training a small BERT with RSAM in the Hugging Face Trainer, and the spectra of two layers after each second epoch.

python examples/rsam_trainer.py        # needs pip install transformers accelerate
"""

import tempfile
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

import renyi
from trainables.callbacks import SpectrumWatch
from trainables.callbacks.huggingface import SpectrumCallback

TOKENS, LENGTH = 12, 6
LAYERS = ["bert.encoder.layer.0.attention.self.query.weight", "classifier.weight"]


class SharpnessAwareTrainer(Trainer):  # type: ignore[misc]  # mypy does not look into it
    """Takes the second gradient at w + ε. The Trainer's own call of `step` then restores w and takes the step."""

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        if self.optimizer.optimizer.first_step():  # the optimizer inside Accelerate's
            super().training_step(model, inputs, num_items_in_batch)
        return loss


def main() -> None:
    """Learn whether the first token comes again in a sequence, and print what was seen."""
    set_seed(0)
    tokens = torch.randint(1, TOKENS, (256, LENGTH))
    labels = (tokens[:, 1:] == tokens[:, :1]).any(1).long()
    samples = [{"input_ids": ids, "labels": label} for ids, label in zip(tokens, labels, strict=True)]
    model = BertForSequenceClassification(
        BertConfig(vocab_size=TOKENS, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    )
    optimizer = renyi.RSAM(model.parameters(), torch.optim.AdamW, rho=0.1, max_eps_norm=0.1, lr=1e-2)
    watch = SpectrumWatch({"input_ids": tokens[:64]}, labels[:64], every=2, layers=LAYERS, tolerance=0.05)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=6,
            per_device_train_batch_size=32,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        trainer = SharpnessAwareTrainer(
            model,
            arguments,
            train_dataset=samples,
            optimizers=(optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)),
            callbacks=[SpectrumCallback(watch)],
        )
        trainer.train()
    for epoch, spectra in watch.history.items():
        print(f"after epoch {epoch}\n{spectra}")


if __name__ == "__main__":
    main()

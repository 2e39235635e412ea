"""The callback in a real Hugging Face `Trainer`."""

from pathlib import Path

import torch
from torch import nn

from trainables.callbacks import SpectrumWatch


def test_it_measures_every_second_epoch_and_logs(tmp_path: Path) -> None:
    # Imported here: it takes seconds, and every process of a test run imports all files of tests.
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    from trainables.callbacks.huggingface import SpectrumCallback

    torch.manual_seed(0)
    tokens, labels = torch.randint(1, 9, (12, 4)), torch.arange(12) % 2
    config = BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, num_labels=2
    )
    model: nn.Module = BertForSequenceClassification(config)
    watch = SpectrumWatch({"input_ids": tokens}, labels, every=2, layers=["classifier.weight"])
    arguments = TrainingArguments(
        str(tmp_path),
        num_train_epochs=5,
        per_device_train_batch_size=6,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    samples = [{"input_ids": ids, "labels": label} for ids, label in zip(tokens, labels, strict=True)]
    trainer = Trainer(model, arguments, train_dataset=samples, callbacks=[SpectrumCallback(watch)])
    trainer.train()
    assert list(watch.history) == [2, 4]
    logged = {entry["step"]: entry for entry in trainer.state.log_history if "classifier.weight/lambda_max" in entry}
    assert list(logged) == [4, 8]
    assert logged[8].items() >= watch.values(4).items()
    assert watch.values(2) != watch.values(4)

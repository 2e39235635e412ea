"""Networks of Hugging Face's transformers, in small configurations; two with LoRA of peft."""

from typing import Any

import peft
import torch
import transformers
from torch import Tensor, nn

from tests.analysis.sharpness.zoo.entry import NUM_CLASSES, Case, Entry

NUM_SAMPLES, LENGTH, VOCABULARY = 3, 4, 10
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 16,
    "initializer_range": 0.2,
}
GPT2_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "n_positions": 16,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 2,
    "initializer_range": 0.2,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}


def padded_tokens() -> dict[str, Tensor]:
    """Random tokens, of which the first sample has only half."""
    ids = torch.randint(3, VOCABULARY, (NUM_SAMPLES, LENGTH))
    mask = torch.ones_like(ids)
    mask[0, LENGTH // 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask}


def _classifier(model: nn.Module) -> Case:
    return Case(model.eval(), padded_tokens(), torch.randint(0, NUM_CLASSES, (NUM_SAMPLES,)))


def _language_model(model: nn.Module) -> Case:
    inputs, targets = padded_tokens(), torch.randint(0, VOCABULARY, (NUM_SAMPLES, LENGTH))
    return Case(model.eval(), inputs, targets.masked_fill(inputs["attention_mask"] == 0, -100))


def _bert() -> Case:
    config = transformers.BertConfig(**SIZES, num_labels=NUM_CLASSES)
    return _classifier(transformers.BertForSequenceClassification(config))


def _gpt2() -> Case:
    return _language_model(transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2_SIZES)))


def _gpt2_classifier() -> Case:
    config = transformers.GPT2Config(**GPT2_SIZES, num_labels=NUM_CLASSES)
    return _classifier(transformers.GPT2ForSequenceClassification(config))


def _llama() -> Case:
    config = transformers.LlamaConfig(**SIZES, num_key_value_heads=1)
    return _language_model(transformers.LlamaForCausalLM(config))


def _mixtral() -> Case:
    """By the eager experts: the others compute in float32 at most, which leaves no float64 to compare with."""
    config = transformers.MixtralConfig(
        **SIZES, num_key_value_heads=1, num_local_experts=4, experts_implementation="eager"
    )
    return _language_model(transformers.MixtralForCausalLM(config))


def _t5() -> Case:
    config = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    case = _language_model(transformers.T5ForConditionalGeneration(config))
    given = torch.randint(3, VOCABULARY, (NUM_SAMPLES, LENGTH))
    assert isinstance(case.inputs, dict)
    return Case(case.model, {**case.inputs, "decoder_input_ids": given}, case.targets)


def _vit() -> Case:
    sizes = {key: value for key, value in SIZES.items() if key not in ("vocab_size", "max_position_embeddings")}
    config = transformers.ViTConfig(**sizes, image_size=16, patch_size=4, num_labels=NUM_CLASSES)
    images = {"pixel_values": torch.randn(NUM_SAMPLES, 3, 16, 16)}
    targets = torch.randint(0, NUM_CLASSES, (NUM_SAMPLES,))
    return Case(transformers.ViTForImageClassification(config).eval(), images, targets)


def _with_lora(case: Case, *modules: str, **options: Any) -> Case:
    """Both matrices random: with the usual zero one, half of the blocks are zero."""
    config = peft.LoraConfig(r=2, target_modules=list(modules), init_lora_weights=False, **options)
    return Case(peft.get_peft_model(case.model, config).eval(), case.inputs, case.targets)


SMALL_ENTRIES = [
    Entry("BERT", "transformers", _bert),
    Entry("GPT-2", "transformers", _gpt2),
    Entry("Llama", "transformers", _llama),
    Entry("ViT", "transformers", _vit),
    Entry("ViT, LoRA", "transformers, peft", lambda: _with_lora(_vit(), "q_proj", "v_proj")),
]
ENTRIES = [
    *SMALL_ENTRIES,
    Entry("GPT-2 classifier", "transformers", _gpt2_classifier),
    Entry("GPT-2, LoRA", "transformers, peft", lambda: _with_lora(_gpt2(), "c_attn", fan_in_fan_out=True)),
    Entry("Mixtral", "transformers", _mixtral),
    Entry("T5", "transformers", _t5),
]

"""A tiny GPT-2 on a few sentences, letter by letter: spectra of its layers before and after training.

python examples/gpt2_text.py [picture.png]        # needs pip install transformers
"""

import sys

import torch
from transformers import GPT2Config, GPT2LMHeadModel

import renyi
from analysis.spectrum.layers import LayerSpectra

TEXT = """a flat minimum is one whose loss hardly moves when the weights move a little.
a sharp one is the opposite, and the spectrum of the hessian says in how many directions it is sharp.
the entropy of that spectrum is large where all directions are alike, and small where a few stand out."""
LENGTH, STEPS = 16, 100
LAYERS = ["transformer.h.0.attn.c_attn.weight", "transformer.h.1.mlp.c_proj.weight"]


def main() -> None:
    """Train, and print the spectra of both times."""
    torch.manual_seed(0)
    letters = sorted(set(TEXT))
    tokens = torch.tensor([letters.index(letter) for letter in TEXT])
    windows = tokens.unfold(0, LENGTH + 1, LENGTH)  # (N, T + 1)
    inputs, targets = {"input_ids": windows[:, :-1]}, windows[:, 1:]
    sizes = {"vocab_size": len(letters), "n_positions": LENGTH, "n_embd": 16, "n_layer": 2, "n_head": 2}
    model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=None, eos_token_id=None))

    def spectra() -> LayerSpectra:
        return renyi.layer_spectra(model, inputs, targets, LAYERS, tolerance=0.1, progress=False)

    print("before training\n", spectra(), sep="")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(**inputs).logits.flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
    trained = spectra()
    print(f"\nafter {STEPS} steps, with a loss of {loss.item():.2f} nats a letter\n", trained, sep="")
    if len(sys.argv) > 1:
        trained.plot().savefig(sys.argv[1], dpi=100)


if __name__ == "__main__":
    main()

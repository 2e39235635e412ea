"""Code in the README and in the documents does what it says there: Python, sweep files, commands and their output.

All of it runs in one folder, against one store, in the order of the documents. `digits` is the shipped sweep with a
smaller grid and one epoch, and spectra are estimated roughly. So numbers in outputs are not compared; words are.
`tests.snippets` says what is not run here, and why.
"""

import builtins
import itertools
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
import yaml
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from analysis.dotted import PATH_VARIABLE
from orchestrator.cli import app
from orchestrator.config import load as loading
from orchestrator.config.load import load
from tests.small_pictures import draw_each_once
from tests.snippets import DOCUMENTS, ROOT, Snippet, commands, snippets

SMALL_DIGITS = """\
name: digits
data: {dataset: digits}
model: digits_cnn
training: {epochs: 1}
grid:
  - {optimizer: sgd, learning_rate: [0.025, 0.05, 0.1], batch_size: 64}
  - {optimizer: adam, learning_rate: 0.001, batch_size: 64, weight_decay: [1e-5, 1e-4]}
shifts: [noise_3]
sharpness:
  {samples: 20, orders: [0.5, 1.5], estimator: paired, num_probes: 2, num_matvecs: 5,
   layers: [classifier.weight], measures: [renyi, trace, l2]}
"""
BASE = yaml.safe_load(SMALL_DIGITS)
MOST_TURNS = 50  # of a loop; longer ones are over epochs
INLINE = ("run", "retry", "remeasure")  # that start Ray unless they are told otherwise
ROUGHLY = "estimator: paired, num_probes: 2, num_matvecs: 5"
READERS_HOME = "/home/me/renyi"  # in documents; here it is the storage
NETWORK = """
import torch, renyi
from torch import nn
from torch.nn.functional import cross_entropy
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.fc = nn.Linear(6, 5), nn.Linear(5, 3)
    def forward(self, inputs):
        return self.fc(torch.relu(self.hidden(inputs)))
torch.manual_seed(0)
model = Net()
inputs, targets = torch.randn(12, 6), torch.arange(12) % 3
loader = [(inputs[:6], targets[:6]), (inputs[6:], targets[6:])]
vectors = torch.randn(2, 15)
"""
SETUPS = {
    "a network": NETWORK,
    "images": NETWORK + "loader = [(torch.randn(2, 3, 8, 8), torch.arange(2))]\n",
    "a table": NETWORK + "import pandas as pd\nframe = pd.read_csv('models.csv')\nframe['gap'] = frame.gap\n",
    "tokens": NETWORK
    + """
class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.lm_head = nn.Embedding(7, 4), nn.Linear(4, 7)
    def forward(self, input_ids, attention_mask):
        return self.lm_head(self.embedding(input_ids) * attention_mask[..., None])
tagger = Tagger()
ids = torch.arange(12).reshape(3, 4) % 7
mask, labels, vectors = torch.ones_like(ids), ids.flip(1), torch.randn(2, 28)
""",
    "a folder of images": "",
    "a loop": NETWORK + "epochs = 5\ntrain = lambda model: None\n",
}
NUMBER = re.compile(r"(?<![a-z_])[+−-]?(?:\d+(?:[.:]\d+)*|\.\d+)(?: ?(?:B|[kMG]B|ms|s|min|h|%)\b)?")


@dataclass(frozen=True)
class Stage:
    """Where snippets run."""

    folder: Path
    storage: Path

    def here(self, text: str) -> str:
        """A text of a document, with the place of the reader's results put here, and spectra estimated roughly."""
        return text.replace(READERS_HOME, str(self.storage)).replace("sharpness: {", f"sharpness: {{{ROUGHLY}, ")

    def renyi(self, words: str) -> str:
        """The output of a command, which must succeed."""
        arguments = shlex.split(self.here(words), comments=True)[1:]
        if arguments[0] in INLINE and "inline" not in arguments:
            arguments += ["--executor", "inline"]
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, f"{words}\n{result.output}"
        return result.output.replace(str(self.storage), READERS_HOME)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Stage]:
    """A folder with what the documents name, a storage in which `digits` is finished, and `digits` in small."""
    folder = tmp_path_factory.mktemp("reader")
    storage = folder / "storage"
    storage.mkdir()
    shutil.copy(empty_database, storage)
    shutil.copytree(loading.SHIPPED, folder / "shipped")
    (folder / "shipped" / "digits.yaml").write_text(SMALL_DIGITS)
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        draw_each_once(patch)
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setattr(loading, "SHIPPED", folder / "shipped")
        patch.setenv("RENYI_STORAGE", str(storage))
        patch.setenv("RENYI_CACHE", str(folder / "cache"))
        patch.setenv("COLUMNS", "80")
        patch.setenv(PATH_VARIABLE, os.environ.get(PATH_VARIABLE, ""))
        patch.delenv("RENYI_TRACKING", raising=False)
        put_files(folder)
        stage = Stage(folder, storage)
        for snippet in (snippet for document in DOCUMENTS for snippet in snippets(document)):
            if snippet.file is not None:
                (folder / snippet.file).write_text(stage.here(snippet.text))
        stage.renyi("renyi run digits")
        yield stage


def put_files(folder: Path) -> None:
    """The files that the documents take for granted: a table of models, a network's weights, samples for it."""
    generator = torch.Generator().manual_seed(0)
    rows = ["lr,wd,optimizer,gap,train_loss,flatness,trace"]
    for index in range(24):
        gap, noise = torch.rand(2, generator=generator).tolist()
        cells = (10 ** -(index % 3), 10 ** -(index // 3 % 4), ("sgd", "adam")[index // 12], gap, noise, -gap, noise)
        rows.append(",".join(map(str, cells)))
    (folder / "models.csv").write_text("\n".join(rows) + "\n")
    (folder / "my_module.py").write_text("from torch import nn\n\n\ndef build():\n    return nn.Linear(6, 3)\n")
    net = torch.nn.Linear(6, 3)
    save_file(net.state_dict(), folder / "net.safetensors")
    for split, shape, number in itertools.product(("train", "test"), ("circle", "square"), range(10)):
        (folder / "shapes" / split / shape).mkdir(parents=True, exist_ok=True)
        pixels = torch.randint(256, (20, 20), generator=generator, dtype=torch.uint8).numpy()
        Image.fromarray(pixels).save(folder / "shapes" / split / shape / f"{number:03}.png")
    np.savez(folder / "samples.npz", inputs=np.ones((8, 6), np.float32), targets=np.ones((8, 3), np.float32))


def test_every_block_is_of_a_kind_that_is_run() -> None:
    kinds = {snippet.language for document in DOCUMENTS for snippet in snippets(document)}
    assert kinds <= {"python", "sh", "console", "yaml", "text"}


@pytest.mark.system
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_runs(document: Path, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "snippet"}
    printed = ""
    for snippet in snippets(document):
        if snippet.reason is None:
            match snippet.language:
                case "python":
                    capsys.readouterr()
                    run_python(snippet, stage, names)
                    printed = capsys.readouterr().out
                case "text" if printed:
                    assert printed == snippet.text, snippet.place
                case "yaml":
                    load_yaml(snippet, stage)
                case "sh":
                    run_commands(snippet, stage)
                case "console":
                    compare_output(snippet, stage)


def run_python(snippet: Snippet, stage: Stage, names: dict[str, Any]) -> None:
    """Execute a block with the names of those before it in its document."""
    if snippet.setup is not None:
        exec(SETUPS[snippet.setup], names)
    names["range"] = first_epoch
    exec(compile("\n" * snippet.line + stage.here(snippet.text), str(snippet.document), "exec"), names)


def first_epoch(*bounds: int) -> builtins.range:
    """`range` for loops over epochs, of which one is enough here."""
    return range(*bounds)[:1] if bounds[-1] > MOST_TURNS else range(*bounds)


def load_yaml(snippet: Snippet, stage: Stage) -> None:
    """Read a sweep file, or `digits` with a part of it replaced by what is shown."""
    for text in alternatives(stage.here(snippet.text)):
        path = stage.folder / (snippet.file or "snippet.yaml")
        whole = {"name", "grid"} <= set(yaml.safe_load(text))
        path.write_text(text if whole else yaml.safe_dump({**BASE, **yaml.safe_load(text)}))
        load(str(path))


def alternatives(text: str) -> list[str]:
    """A block of YAML; where it shows one key several times, a text for each."""
    parts = [part for part in re.split(r"^(?=\w)", text, flags=re.MULTILINE) if part.strip()]
    keys = [part.partition(":")[0] for part in parts]
    return [text] if len(set(keys)) == len(keys) else parts


def run_commands(snippet: Snippet, stage: Stage) -> None:
    """Run the commands of a block, all of which must succeed."""
    for command in commands(snippet):
        if command.reason is None:
            assert command.words.startswith("renyi "), f"tests/snippets.py does not say why it is not run: {command}"
            stage.renyi(command.words)


def compare_output(snippet: Snippet, stage: Stage) -> None:
    """Run the commands after a `$`, and compare what they show: word by word, `...` standing for any."""
    for part in re.split(r"^\$ ", snippet.text, flags=re.MULTILINE)[1:]:
        words, _, expected = part.partition("\n")
        pattern = ".*".join(re.escape(words_of(piece)) for piece in expected.split("..."))
        shown = words_of(stage.renyi(words))
        assert re.search(pattern, shown), f"{snippet.place}: {words} shows\n{shown}\nand not\n{words_of(expected)}"


def words_of(text: str) -> str:
    """A text without its line breaks, and with a sign in place of each number, which another sweep has others of."""
    return " ".join(NUMBER.sub("#", text).split())


def test_words_of_an_output_are_compared_and_numbers_are_not() -> None:
    assert words_of("30 trials:  9.6 MB\nτ +.67") == words_of("5 trials: 120 kB τ −.07") == "# trials: # τ #"
    assert words_of("digits_cnn") != words_of("digits_mlp")


def named_commands() -> list[tuple[str, str]]:
    """Every command in the running text of a document, with its place."""
    found = []
    for document in DOCUMENTS:
        prose = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        found += [(document.name, words) for words in re.findall(r"`(renyi [a-z][^`\n]*)`", prose)]
    return sorted(set(found))


@pytest.mark.parametrize(("document", "words"), named_commands())
def test_options_in_the_running_text_exist(document: str, words: str) -> None:
    group: Any = typer.main.get_command(app)
    name, *arguments = shlex.split(words.replace("\\|", "|"))[1:]
    known = {option for parameter in group.commands[name].params for option in parameter.opts} | {"--help"}
    assert {word for word in arguments if word.startswith("--")} <= known

"""A study for pages in tests."""

from analysis.results.study import Study
from analysis.settings import SharpnessSettings

STUDY = Study(
    data="digits: 1 000 training images, 797 test images, 8×8 pixels",
    networks="digits_cnn: 3 350 parameters",
    grid=("sgd × learning_rate in {0.01, 0.03}", "seeds 0"),
    training="epochs 30, schedule cosine",
    settings=SharpnessSettings(samples=123, orders=(0.5, 1.5)),
    resources="a trial 1 CPU, a measuring process 1 CPU",
    file_name="simulated.yaml",
    file_text="name: simulated  # a & b </pre>\n",
    version="0.2.0, commit 0123456789ab",
    machine="a machine",
    written="2026-01-02 03:04+00:00",
    command="renyi run simulated",
    layers={"conv.weight": "conv 1, 3×3, 8"},
    labels={"trial000": "sgd lr=0.01"},
    checkpoints={"trial000": "/results/trials/trial000/last.pt"},
    interface="http://127.0.0.1:5000",
)

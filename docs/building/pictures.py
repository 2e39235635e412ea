"""Make the pictures of the documents again: `make pictures`, or

    python docs/building/pictures.py [--storage FOLDER]

Runs the sweep `digits` in the storage (some minutes, if it is not finished there), writes its report, copies figures of
it, takes screenshots of the page with a headless Chromium, and runs the examples that draw. All go to `docs/images`.
Look at them before they are committed.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
FIGURES = ("gap_against_sharpness", "tau_over_orders", "spectra")  # of the report
EXAMPLES = ("torchvision_spectrum", "gpt2_text", "rsam_loop", "regression")  # that draw
SCREENS = {"report_first_screen": (1280, 900)}  # name: width and height in pixels
WIDEST, COLOURS = 1400, 128  # of a picture, so that the repository stays small
FLAGS = ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", "--force-prefers-color-scheme=light")


def main() -> None:
    """Make all pictures, or those that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--storage", type=Path, default=ROOT / "build" / "pictures", help="where `digits` is or will be"
    )
    parser.add_argument("--only", choices=("report", "examples"))
    arguments = parser.parse_args()
    if arguments.only != "examples":
        pictures_of_the_report(arguments.storage.absolute())
    if arguments.only != "report":
        for name in EXAMPLES:
            run(sys.executable, str(ROOT / "examples" / f"{name}.py"), str(IMAGES / f"{name}.png"))


def pictures_of_the_report(storage: Path) -> None:
    """Figures of the report of `digits`, and its page as it is seen first."""
    for command in ("run", "report"):
        run(sys.executable, "-m", "renyi", command, "digits", "--storage", str(storage))
    folder = storage / "digits" / "report"
    for name in FIGURES:
        shutil.copy(folder / f"{name}.png", IMAGES)
        shrink(IMAGES / f"{name}.png")
    for name, size in SCREENS.items():
        screenshot(folder / "report.html", IMAGES / f"{name}.png", *size)
        shrink(IMAGES / f"{name}.png")


def screenshot(page: Path, picture: Path, width: int, height: int) -> None:
    """What a browser window of this size shows of a page."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium is here: install Debian's chromium")
    run(chromium, *FLAGS, f"--window-size={width},{height}", f"--screenshot={picture}", page.as_uri())


def shrink(picture: Path) -> None:
    """Keep what is seen of a PNG, in fewer pixels and colours."""
    with Image.open(picture) as image:
        image.thumbnail((WIDEST, 10 * WIDEST))
        image.convert("RGB").quantize(COLOURS).save(picture, optimize=True)


def run(*words: str) -> None:
    """A command, in the repository."""
    print(*words, flush=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    subprocess.run(words, cwd=ROOT, check=True, env=environment)


if __name__ == "__main__":
    main()

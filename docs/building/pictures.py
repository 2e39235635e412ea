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
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
FIGURES = ("gap_against_sharpness", "tau_over_orders", "tau_strongest", "spectra")  # of the report
EXAMPLES = ("torchvision_spectrum", "gpt2_text", "rsam_loop", "regression")  # that draw
SIZE = 1280, 900  # of the browser's window, in pixels
FIRST_SCREEN = "report_first_screen"
SECTIONS = {"report_overview": "heat_map", "report_explorer": "explorer"}  # of the page, by the picture's name
WIDEST, COLOURS = 1400, 128  # of a picture, so that the repository stays small


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
    run(sys.executable, "-m", "renyi", "run", "digits", "--storage", str(storage))  # which ends with the report
    folder = storage / "digits" / "report"
    for name in FIGURES:
        shutil.copy(folder / f"{name}.png", IMAGES)
    take_screenshots(folder / "report.html")
    for name in (*FIGURES, FIRST_SCREEN, *SECTIONS):
        shrink(IMAGES / f"{name}.png")


def take_screenshots(page: Path) -> None:
    """What a browser's window shows of a page first, and some of its sections."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        sys.exit("no browser is here: install Debian's chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size={},{}".format(*SIZE)):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        browser.get(page.as_uri())
        browser.save_screenshot(str(IMAGES / f"{FIRST_SCREEN}.png"))
        for name, section in SECTIONS.items():
            browser.find_element(By.ID, section).screenshot(str(IMAGES / f"{name}.png"))
    finally:
        browser.quit()


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

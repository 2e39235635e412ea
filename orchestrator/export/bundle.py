"""`renyi export`: what is in the file, and how it is written."""

import io
import zipfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from analysis.report.report import build_report
from analysis.results.parquet import spectra_to_parquet
from analysis.results.sweep import SweepResults
from orchestrator.config.settings import parameters_of
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.report import results_of
from orchestrator.store.known_sets import identify
from trainables.trial.code import commit

PACKAGE = "renyi-sharpness"
MEASUREMENTS, SCRIPT = "measurements.parquet", "recompute.py"
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the time of every file, so that the same sweep gives the same bytes


def export_sweep(config: SweepConfig, output: Path) -> list[str]:
    """Write a sweep's measured trials, with all that is needed to check its report, into a zip file.

    Returns:
        The names of the files in it.

    Raises:
        UsageError: no trial has been measured, or the file can't be written.
    """
    scratch = output.with_name(f".{output.name}.new")
    try:
        scratch.touch()  # before the report is made, which takes longer
        scratch.unlink()
    except OSError as error:
        raise _unwritable(output, error) from error
    config = identify(config).config
    results = results_of(config, "store")
    if results.table.empty:
        raise UsageError(f"{config.name}: no trial has been measured yet; `renyi status {config.typed}` shows why")
    files = contents(config, results)
    try:
        scratch.write_bytes(zipped(output.stem, files))
        scratch.replace(output)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise _unwritable(output, error) from error
    return list(files)


def _unwritable(output: Path, error: OSError) -> UsageError:
    return UsageError(f"--output {output}: can't be written: {error.strerror}; name another file")


def contents(config: SweepConfig, results: SweepResults) -> dict[str, bytes]:
    """Every file of an export, by its path."""
    report = build_report([results], [f"renyi run {config.typed}", f"renyi report {config.typed}"])
    files = {
        "README.md": readme(config, results).encode(),
        "METHODS.md": methods(config).encode(),
        "sweep.yaml": config.shared_text.encode(),
        "constraints.txt": constraints().encode(),
        MEASUREMENTS: parquet(results),
        SCRIPT: Path(__file__).with_name(SCRIPT).read_bytes(),
    }
    files |= {f"spectra/{trial_id}.parquet": spectra_to_parquet(found) for trial_id, found in results.spectra.items()}
    return files | {f"report/{name}": data for name, data in report.files.items()}


def zipped(folder: str, files: Mapping[str, bytes]) -> bytes:
    """A zip archive with the files in one folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}", LONG_AGO), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def parquet(results: SweepResults) -> bytes:
    """All measurements as one table: a row for each (trial, layer, measure, parameter), with the trial's outcome."""
    buffer = io.BytesIO()
    table = results.table.loc[:, ~results.table.columns.duplicated()]
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), buffer, compression="zstd")
    return buffer.getvalue()


def readme(config: SweepConfig, results: SweepResults) -> str:
    """What the export is, and how to check it."""
    states = ", ".join(f"{count} {state}" for state, count in results.states.items() if count)
    remarks = "".join(f"- {remark}\n" for remark in results.remarks)
    return f"""# {config.name}

{results.table["trial_id"].nunique()} measured trials of {config.model} on {config.data.name or config.data.dataset} \
(all trials: {states}).
Made by {PACKAGE} {version(PACKAGE)}{f", commit {commit()}" if commit() else ""}.
{remarks}
| file | what it is |
| --- | --- |
| `sweep.yaml` | the sweep file: `renyi run sweep.yaml` repeats the study |
| `constraints.txt` | the versions of all packages: `pip install {PACKAGE} -c constraints.txt` |
| `METHODS.md` | what was done, setting by setting |
| `{MEASUREMENTS}` | every measurement of every trial, with the trial's parameters and outcome |
| `spectra/` | the quadratures of each trial's Hessian spectra, of which entropies of any order can be made |
| `report/` | the report: `report.html`, its figures and tables |
| `{SCRIPT}` | computes τ and the outcomes again from `{MEASUREMENTS}`, with pandas, pyarrow and scipy, and compares |

Check the tables: `pip install pandas pyarrow scipy && python {SCRIPT}`
"""


def methods(config: SweepConfig) -> str:
    """The settings that decide the results, as text."""
    rows = "\n".join(f"- {name}: {value}" for name, value in parameters_of(config).items())
    return f"# How {config.name} was made\n\n{rows}\n"


def constraints() -> str:
    """The installed versions of this package and of all that it needs, in pip's form."""
    found: dict[str, str] = {}
    wanted = [PACKAGE]
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in found:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:  # needed elsewhere: on another system, or with an extra
            continue
        found[name] = package.version
        needs = [Requirement(line) for line in package.requires or ()]
        wanted += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return "".join(f"{name}=={found[name]}\n" for name in sorted(found))

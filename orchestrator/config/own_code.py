"""The user's own modules: where they are found, and their part in the identity of trials where the file says so."""

import os
from pathlib import Path

from analysis.dotted import PATH_VARIABLE
from orchestrator.config.problems import ConfigProblem
from orchestrator.config.sweep_config import SweepConfig
from trainables.catalogue import NETWORKS
from trainables.trial.code import Sources, own_sources


def look_in(*folders: Path) -> None:
    """Have the user's modules be found in these folders and in the current one, after all that is installed."""
    os.environ[PATH_VARIABLE] = os.pathsep.join(dict.fromkeys(map(str, [*folders, Path.cwd()])))


def with_code(config: SweepConfig) -> tuple[SweepConfig, list[ConfigProblem]]:
    """The sweep with the digests of the user's measures in its settings, if its file says `identity: code`; and what
    can't be found."""
    if config.identity == "settings":
        return config, []
    measures = {path: own_sources(path) for path in config.sharpness.own_measures}
    missing = [path for path, sources in measures.items() if sources is None]
    if config.model not in NETWORKS and config.model not in config.codes:
        missing.insert(0, config.model)
    problems = [
        ConfigProblem("identity", f"code needs the sources of {path}, and there is no such module; correct the path")
        for path in missing
    ]
    found = {path: sources.digest for path, sources in measures.items() if sources is not None}
    if not found:
        return config, problems
    sharpness = config.sharpness.model_copy(update={"code": Sources.of(found).digest})
    return config.model_copy(update={"sharpness": sharpness}), problems

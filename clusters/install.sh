#!/usr/bin/env bash
# On a node: makes the environment in ~/venv, and ~/renyi.env, which every shell and every start command reads.
set -euo pipefail
cat >> ~/renyi.env <<'SETTINGS'
export PATH=$HOME/venv/bin:$PATH
export RAY_AUTH_MODE=token                             # nodes and jobs present the secret in ~/.ray/auth_token
export RAY_USAGE_STATS_ENABLED=0 MLFLOW_DISABLE_TELEMETRY=true
umask 077                                              # logs, results and records are for this account alone
export RAY_JOB_STOP_WAIT_TIME_S=60                     # a stopped sweep writes its record before it is killed
export RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL=minor    # lets a node with a wrong Python join, so that the preflight can name it
SETTINGS
chmod 600 ~/.ray/auth_token
grep -q renyi.env ~/.bashrc 2>/dev/null || echo '. ~/renyi.env' >> ~/.bashrc
if [ ! -x ~/venv/bin/python ]; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        { echo "$(hostname): $(python3 --version) is too old; install Python 3.11 or newer as python3" >&2; exit 2; }
    python3 -m venv ~/venv
fi
~/venv/bin/python -m pip install --quiet ~/renyi-sharpness

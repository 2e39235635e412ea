#!/usr/bin/env bash
# A sweep on a Slurm cluster: Ray on every node of one allocation, the driver on the first, all ended with it.
#
#   python3 -m venv ~/venv && ~/venv/bin/pip install ~/renyi-sharpness   # once, in a home that the nodes share
#   sbatch clusters/slurm.sh cifar10-resnet18                            # the same command resumes after a time limit
#   ~/venv/bin/renyi status cifar10-resnet18 --storage /scratch/$USER/renyi   # `report` and `ui` in the same way
#
#SBATCH --job-name=renyi
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --gres=gpu:1
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --output=renyi-%j.log
set -euo pipefail

# Where results go; no other line says so. A folder that every node sees. Without RENYI_TRACKING the record is
# SQLite in it, which the first node alone writes; on a file system without locks (some NFS) name a server instead.
export RENYI_STORAGE=${RENYI_STORAGE:-/scratch/$USER/renyi}

export PATH=$HOME/venv/bin:$PATH
export RAY_USAGE_STATS_ENABLED=0 MLFLOW_DISABLE_TELEMETRY=true RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL=minor
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300   # seconds to wait for all nodes
export RAY_AUTH_MODE=token       # the secret is in ~/.ray/auth_token, in the shared home
ray get-auth-token --generate > /dev/null

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export RAY_ADDRESS=$head:6379    # the cluster that the driver joins
# The nodes are released soon after the sweep's end (--wait); the exit code is the sweep's own.
code=$(mktemp)
srun --wait=5 --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" \
    ray symmetric-run --address "$RAY_ADDRESS" --min-nodes "$SLURM_JOB_NUM_NODES" -- \
    bash -c 'code=$1; shift; renyi run "$@"; echo $? > "$code"' sweep "$code" "$@" || true
exit "$(grep . "$code" || echo 1)"

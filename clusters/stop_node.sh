#!/usr/bin/env bash
# On a machine of one's own: ends Ray, and MLflow where it runs. Results and the environment stay.
. ~/renyi.env
ray stop --grace-period 10 || ray stop --force
pkill -u "$(id -u)" -f 'mlflow.server|bin/mlflow server' || true

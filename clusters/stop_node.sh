#!/usr/bin/env bash
# On your own machine: ends Ray, and MLflow if it runs, and opens the ports again. Results and environment remain.
. ~/renyi.env
ray stop --grace-period 10 || ray stop --force
pkill -u "$(id -u)" -f 'mlflow.server|bin/mlflow server' || true
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)
PATH=$PATH:/usr/sbin:/sbin "${as_root[@]}" nft delete table inet renyi 2> /dev/null || true

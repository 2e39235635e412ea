#!/usr/bin/env bash
# On the head: MLflow's server, on 127.0.0.1 alone, unless RENYI_TRACKING names a server elsewhere. Returns once it answers.
#
# Its database is SQLite in ~/mlflow, or what MLFLOW_BACKEND_STORE_URI names. If it is lost, the next `renyi run`
# writes it again from the storage.
set -euo pipefail
address=http://127.0.0.1:5000
answers() { curl --silent --fail --output /dev/null $address/health; }
[ "${RENYI_TRACKING:-$address}" = $address ] || exit 0
answers && exit 0
mkdir -p ~/mlflow
MLFLOW_BACKEND_STORE_URI=${MLFLOW_BACKEND_STORE_URI:-sqlite:///$HOME/mlflow/mlflow.db} \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false setsid nohup mlflow server --host 127.0.0.1 --port 5000 --workers 1 \
    --artifacts-destination "$RENYI_STORAGE/mlartifacts" > ~/mlflow/server.log 2>&1 < /dev/null &
for _ in $(seq 120); do
    answers && exit 0
    sleep 1
done
echo "MLflow does not answer at $address after two minutes; see ~/mlflow/server.log" >&2
exit 1

#!/usr/bin/env bash
# Puts the conformance cases to TensorFlow Serving's own container.
#
# It was never run where Sightline is developed, for want of a Docker daemon: expect to
# mend it at its first run. What it does:
#   1. writes the test models, the config files and an empty folder for the container,
#   2. starts the container and waits until every model answers,
#   3. runs tests/e2e/conformance against it,
#   4. if an export is named, serves it too and runs `sightline model verify` against it.
#
#   deploy/conformance/run_against_tensorflow_serving.sh [EXPORTS NAME]
#
# EXPORTS is a published model's folder with one folder a version, NAME its name.
# Settings from the environment, with their defaults:
#   IMAGE=tensorflow/serving   TensorFlow 2.21 models want a release that is not much older
#   REST_PORT=18501 GRPC_PORT=18500
#   PYTHON=python              of the environment with Sightline and its dev requirements
set -euo pipefail

image=${IMAGE:-tensorflow/serving}
rest_port=${REST_PORT:-18501}
grpc_port=${GRPC_PORT:-18500}
python=${PYTHON:-python}
exports=${1:-}
name=${2:-}

if [[ -n $exports && -z $name ]]; then
  echo "run_against_tensorflow_serving.sh: expected EXPORTS and NAME together. Received: $exports." >&2
  exit 2
fi
[[ -z $exports ]] || exports=$(realpath "$exports")
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
# The container reads it as another user.
chmod 755 "$work"
container=sightline-conformance-$$
trap 'docker rm --force "$container" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

start() {  # start CONFIG_FILE MODEL MOUNT...
  local config_file=$1 model=$2
  shift 2
  docker run --detach --name "$container" "$@" \
    --publish "127.0.0.1:$rest_port:8501" --publish "127.0.0.1:$grpc_port:8500" "$image" \
    "--model_config_file=$config_file" \
    --monitoring_config_file=/models/monitoring.config \
    --file_system_poll_wait_seconds=1 \
    --max_num_load_retries=0 \
    --enable_grpc_healthcheck_service=true
  for _ in $(seq 120); do
    if curl --fail --silent "http://127.0.0.1:$rest_port/v1/models/$model" | grep -q AVAILABLE; then
      return
    fi
    sleep 1
  done
  docker logs "$container" >&2
  echo "run_against_tensorflow_serving.sh: $model did not become AVAILABLE in 120 seconds." >&2
  exit 1
}

"$python" -m tests.e2e.conformance.models "$work/models" /models
echo 'prometheus_config { enable: true }' >"$work/models/monitoring.config"

start /models/models.config examples --volume "$work/models:/models:ro"
"$python" -m pytest tests/e2e/conformance \
  --server "127.0.0.1:$rest_port,$grpc_port" --models "$work/models" --model-base /models

if [[ -n $exports ]]; then
  docker rm --force "$container" >/dev/null
  cat >"$work/models/export.config" <<CONFIG
model_config_list { config { name: '$name' base_path: '/export' model_platform: 'tensorflow' } }
CONFIG
  start /models/export.config "$name" --volume "$work/models:/models:ro" --volume "$exports:/export:ro"
  "$python" -m pipeline model verify "$exports" --server "127.0.0.1:$rest_port" --name "$name"
fi

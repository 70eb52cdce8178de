#!/bin/sh
# Print the GPU addresses of this machine as one line of JSON, for Spark's settings
#   spark.worker.resource.gpu.discoveryScript    (standalone workers)
#   spark.executor.resource.gpu.discoveryScript  (YARN, Kubernetes)
# If the GPU driver does not respond, the worker fails to start, with nvidia-smi's message.
set -eu
indices=$(nvidia-smi --query-gpu=index --format=csv,noheader)
addresses=$(printf '%s' "$indices" | sed 's/.*/"&"/' | paste -sd, -)
printf '{"name": "gpu", "addresses": [%s]}\n' "$addresses"

#!/bin/sh
# What Spark asks a machine for its GPUs: one line of JSON with their addresses. For
#   spark.worker.resource.gpu.discoveryScript    (standalone workers)
#   spark.executor.resource.gpu.discoveryScript  (YARN, Kubernetes)
# A machine whose driver does not answer ends the start of the worker, with nvidia-smi's message.
set -eu
indices=$(nvidia-smi --query-gpu=index --format=csv,noheader)
addresses=$(printf '%s' "$indices" | sed 's/.*/"&"/' | paste -sd, -)
printf '{"name": "gpu", "addresses": [%s]}\n' "$addresses"

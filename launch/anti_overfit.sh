#!/usr/bin/env bash
# Step 5, learning: launch/anti_overfit.sh --scores DIR --plan DIR ...; HOSTFILE=hostfile for the whole cluster.
set -euo pipefail
. "$(dirname "$0")/env.sh"
run_ranks python -m prng_mpi.anti_overfit "$@"

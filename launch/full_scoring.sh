#!/usr/bin/env bash
# Step 3, full scoring: launch/full_scoring.sh --survivors DIR --draws FILE ...; HOSTFILE=hostfile for the
# whole cluster.
set -euo pipefail
. "$(dirname "$0")/env.sh"
run_ranks python -m prng_mpi.full_scoring "$@"

#!/usr/bin/env bash
# Step 2.5, the scorer: launch/scorer_meta.sh --survivors DIR --draws FILE ...; HOSTFILE=hostfile for the
# whole cluster.
set -euo pipefail
. "$(dirname "$0")/env.sh"
run_ranks python -m prng_mpi.scorer_meta "$@"

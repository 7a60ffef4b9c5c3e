#!/usr/bin/env bash
# Step 4, the planner: launch/adaptive_meta.sh --scores DIR; it needs one rank.
set -euo pipefail
NP=1 HOSTFILE=
. "$(dirname "$0")/env.sh"
run_ranks python -m prng_mpi.adaptive_meta "$@"

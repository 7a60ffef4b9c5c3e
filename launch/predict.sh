#!/usr/bin/env bash
# Step 6, prediction: launch/predict.sh --models DIR, or --run DIR, or --recipe NAME --seed S; it needs one rank.
set -euo pipefail
NP=1 HOSTFILE=
. "$(dirname "$0")/env.sh"
run_ranks python -m prng_mpi.predict "$@"

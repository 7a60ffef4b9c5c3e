#!/usr/bin/env bash
# Step 1, the window optimiser: launch/window_optimizer.sh --draws FILE --recipe NAME[,NAME] ...; HOSTFILE=hostfile for the
# whole cluster.
set -euo pipefail
. "$(dirname "$0")/env.sh"
run_ranks python -m prng_mpi.window_optimizer "$@"

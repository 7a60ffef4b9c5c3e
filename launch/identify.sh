#!/usr/bin/env bash
# Which recipes can have made the draws: launch/identify.sh FILE ...; the ranks share the recipes.
set -euo pipefail
. "$(dirname "$0")/env.sh"
run_ranks python -m prng_mpi.identify "$@"

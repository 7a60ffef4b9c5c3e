#!/usr/bin/env bash
# The bench: launch/bench.sh --recipes NAME,... measures every rank; HOSTFILE=hostfile for the whole cluster.
set -euo pipefail
. "$(dirname "$0")/env.sh"
run_ranks python -m prng_mpi.bench "$@"

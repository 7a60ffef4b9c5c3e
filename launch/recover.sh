#!/usr/bin/env bash
# The state of a linear generator from its draws: launch/recover.sh --draws FILE --family NAME ...; HOSTFILE=hostfile for
# the whole cluster.
set -euo pipefail
. "$(dirname "$0")/env.sh"
run_ranks python -m prng_mpi.recover "$@"

#!/usr/bin/env bash
# The sieve: launch/sieve.sh --draws FILE --recipe NAME ...; HOSTFILE=hostfile for the whole cluster.
set -euo pipefail
. "$(dirname "$0")/env.sh"
run_ranks python -m prng_mpi.sieve "$@"

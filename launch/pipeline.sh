#!/usr/bin/env bash
# Steps 1 to 6: launch/pipeline.sh --draws FILE --recipe NAME ...; HOSTFILE=hostfile NP=26 for the whole cluster. Each step is
# a job of its own; this process holds no MPI.
set -euo pipefail
. "$(dirname "$0")/env.sh"
exec python -m prng_mpi.pipeline "$@"

#!/usr/bin/env bash
# A step that outlives lost hosts: HOSTFILE=hostfile NP=26 launch/supervise.sh sieve ... --output-dir DIR, on the first host
# of the hostfile. Started again without a host that is gone, until there is a result; python -m prng_mpi.supervise --help.
set -euo pipefail
. "$(dirname "$0")/env.sh"
step=${1:?"name a step: launch/supervise.sh sieve ..."}
shift
exec python -m prng_mpi.supervise -- mpirun "${PRNG_MPI_RANKS[@]}" "${PRNG_MPI_PYTHON[@]}" -m "prng_mpi.$step" "$@"

#!/usr/bin/env bash
# The doctor: launch/doctor.sh looks at this host; HOSTFILE=hostfile looks at the cluster, first whether each host can be
# reached, and if so at every rank of it.
set -euo pipefail
. "$(dirname "$0")/env.sh"
if [ -n "${ENVIRONMENTS:-}" ]; then set -- --environments "$ENVIRONMENTS" "$@"; fi
if [ -n "${HOSTFILE:-}" ]; then
    status=0
    python -m prng_mpi.doctor --hostfile "$HOSTFILE" "$@" || status=$?
    [ $status = 0 ] || [ $status = 6 ] || exit $status
    set -- --hostfile "$HOSTFILE" "$@"
fi
run_ranks python -m prng_mpi.doctor "$@"

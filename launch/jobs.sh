#!/usr/bin/env bash
# A file of jobs: launch/jobs.sh --jobs-file FILE ...; HOSTFILE=hostfile for the whole cluster.
set -euo pipefail
. "$(dirname "$0")/env.sh"
run_ranks python -m prng_mpi.jobs "$@"

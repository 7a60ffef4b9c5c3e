#!/usr/bin/env bash
# From a fresh clone to a verdict: make the environment, then let two ranks find the seed of a real java.util.Random.
set -euo pipefail
cd "$(dirname "$0")/.."
launch/setup.sh mpi
NP=${NP:-2} exec launch/sieve.sh --draws examples/java_nextint.json --recipe java.nextInt --seed-end 2**28 --skip-max 4 "$@"

#!/usr/bin/env bash
# From a fresh clone to passed tests: environment, style and types, tests on one rank, then on 2 and 4.
set -euo pipefail
cd "$(dirname "$0")/.."
launch/setup.sh mpi,test
. launch/env.sh

# The kernels are compiled for AMD GPUs too where Debian's HIP compiler is there, or may be installed.
if ! ls /usr/lib/*/libamdhip64.so >/dev/null 2>&1; then
    sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo -n)
    echo "test: installing libamdhip64-dev by apt for the HIP compile checks"
    { "${sudo[@]}" apt-get update -qq && "${sudo[@]}" apt-get install -y -qq --no-install-recommends libamdhip64-dev >/dev/null; } ||
        echo "test: no HIP compiler; its checks are skipped (as root: apt-get install libamdhip64-dev)"
fi

ruff check . && ruff format --check -q . && mypy
# Campaigns of an hour wait for who asks for them: python -m pytest -m slow
# A process per core; those of one file share compiled devices.
python -m pytest -q -m "not mpi and not slow" -n auto
for ranks in 2 4; do
    # Only root's report is worth reading; any rank's failure ends the run with its status.
    mpirun -np $ranks python -m pytest -q --color=no --with-mpi --only-mpi -m mpi tests
done
echo "all tests passed"

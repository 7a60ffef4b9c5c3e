#!/usr/bin/env bash
# Make the environment: launch/setup.sh [EXTRA,...] (default: mpi). VENV names another folder than .venv, PYTHON another
# interpreter. What only the system can give is installed by apt where that is allowed, else said.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=${1:-mpi} venv=${VENV:-.venv} python=${PYTHON:-python3}

# system COMMAND PACKAGE WHAT: make sure of a command.
system() {
    if command -v "$1" >/dev/null; then return; fi
    echo "setup: $3 is missing; installing $2 by apt" >&2
    apt_install "$2" || { echo "setup: run as root: apt-get install $2" >&2; exit 2; }
}
apt_install() {
    local sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo -n)
    command -v apt-get >/dev/null && "${sudo[@]}" apt-get update -qq && "${sudo[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

system "$python" python3 "Python"
system cc gcc "a C compiler"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "setup: $python is older than 3.11; set PYTHON" >&2; exit 2; }
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    echo "setup: this Python has no venv module; installing python3-venv by apt" >&2
    apt_install python3-venv || { echo "setup: run as root: apt-get install python3-venv" >&2; exit 2; }
fi

# Nothing to do when these extras of the same pyproject.toml are there already, alone or with others.
sum=$(cksum < pyproject.toml) there='' made=''
[ ! -e "$venv/setup-stamp" ] || read -r there made < "$venv/setup-stamp"
[ "$made" = "$sum" ] || there=''
missing=''
for extra in ${extras//,/ }; do
    [[ ,$there, == *,$extra,* ]] || missing=1
done
if [ -n "$missing" ]; then
    echo "setup: making $venv with prng_mpi[$extras]" >&2
    "$python" -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -e ".[$extras]"
    echo "${there:+$there,}$extras $sum" > "$venv/setup-stamp"
fi

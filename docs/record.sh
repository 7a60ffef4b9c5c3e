#!/usr/bin/env bash
# Make docs/recording.txt: a new user's first minutes, in a clone of this checkout's last commit, on a terminal (script, of
# util-linux). Of a screen that is drawn again and again the first and the last picture are kept.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ "${1:-}" = play ]; then
    run() {
        printf '\n$ %s\n' "$*"
        eval "$*" || echo "(exit code $?)"
    }
    cd "$PLACE/prng_mpi"
    long="launch/sieve.sh --draws examples/java_nextint.json --recipe java.nextInt --seeds bits:34 --skip-max 4 --method lanes --output-dir results/long"
    run launch/demo.sh
    run launch/setup.sh mpi,report
    run . launch/env.sh
    run "$long --time-limit 5s"
    run prng-mpi status results/long
    run "$long"
    run prng-mpi report results/long
    run prng-mpi sieve --draws examples/tx_pick3_morning.json --recipe java.nextInt --seeds bits:48 --skip-max 16 --output-dir results/null
    exit
fi

git clone -q "file://$top" "$work/prng_mpi"
env -u VIRTUAL_ENV -u PYTHONPATH PIP_QUIET=3 PLACE="$work" NP=2 script -q -e -c "stty cols 110 rows 40; bash '$0' play" "$work/raw" </dev/null >/dev/null
python3 - "$work/raw" "$top/docs/recording.txt" <<'PYTHON'
import re
import sys
from pathlib import Path

text = Path(sys.argv[1]).read_bytes().decode().replace("\r", "")
text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(("Script started", "Script done")))
# Each picture goes up over the one before; what is above it in the same write stays.
kept = []
for part in re.split(r"(?=\n\$ )", text):
    first, *others = re.split(r"\x1b\[\d+A\x1b\[J", part)
    lasting = "".join(line for other in others[:-1] for line in other.splitlines(keepends=True) if line.startswith("devices"))
    redrawn = f"    (drawn again: {len(others)})\n" if others else ""
    kept.append(first + redrawn + lasting + "".join(others[-1:]))
Path(sys.argv[2]).write_text(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", "".join(kept)).lstrip("\n"))
PYTHON

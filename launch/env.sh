# shellcheck shell=bash
# Sourced by every launch script, and by people who type mpirun themselves: the environment of a run.
# HOSTFILE, NP: where and how many ranks (default: this host, one rank per core). VENV: the Python environment, at the
# same path on every host. ENVIRONMENTS: a file with a Python for each kind of host, lines of PATTERN INTERPRETER: the first
# pattern that fits a host's name decides, and a host that none fits has that of VENV.

PRNG_MPI_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${VENV:-$PRNG_MPI_TOP/.venv}
if [ -x "$VENV/bin/python" ]; then
    export VIRTUAL_ENV=$VENV PATH=$VENV/bin:$PATH
fi

# Open MPI refuses root without both of these.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Messages over host memory only: ranks of different GPU vendors share nothing else, and ofi costs a second to start.
export OMPI_MCA_pml=${OMPI_MCA_pml:-ob1} OMPI_MCA_btl=${OMPI_MCA_btl:-self,sm,tcp} OMPI_MCA_mpi_yield_when_idle=1
# A rank drives a GPU, not a core: hosts may have more ranks than cores, and no rank is tied to one.
export PRTE_MCA_rmaps_default_mapping_policy=${PRTE_MCA_rmaps_default_mapping_policy:-slot:oversubscribe}
export PRTE_MCA_hwloc_default_binding_policy=${PRTE_MCA_hwloc_default_binding_policy:-none}
# A cut cable is noticed in seconds, not minutes.
export PRTE_MCA_oob_tcp_keepalive_time=10 PRTE_MCA_oob_tcp_keepalive_intvl=3 PRTE_MCA_oob_tcp_keepalive_probes=3
# numpy's threads are of no use to a rank and cost memory on hosts with many.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}
# mpirun gives every rank a terminal of its own, so whether a person looks, and at how large a window, is found out here.
# In $(...) standard output is a pipe.
if [ -t 1 ]; then PRNG_MPI_TTY=1; else PRNG_MPI_TTY=0; fi
{ PRNG_MPI_WINDOW=$(stty size <&3 2>/dev/null || echo 24 100); } 3>&1
export PRNG_MPI_TTY COLUMNS=${COLUMNS:-${PRNG_MPI_WINDOW#* }} LINES=${LINES:-${PRNG_MPI_WINDOW% *}}
# Ranks get these; mpirun starts nothing where one of them is not set, as VIRTUAL_ENV is not in an environment of another kind.
export OMPI_MCA_mca_base_env_list="PATH;${VIRTUAL_ENV:+VIRTUAL_ENV;}PRNG_MPI_TTY;COLUMNS;LINES;OMP_NUM_THREADS;OPENBLAS_NUM_THREADS"

# What mpirun needs to know of the ranks.
if [ -n "${HOSTFILE:-}" ]; then
    PRNG_MPI_RANKS=(-hostfile "$HOSTFILE" ${NP:+-np "$NP"})
else
    PRNG_MPI_RANKS=(-np "${NP:-$(env -u OMP_NUM_THREADS nproc)}")
fi

# Where this MPI can survive a lost rank (ULFM, Open MPI 5), its seeds go to other ranks; elsewhere a killed rank ends the
# job and the same command resumes. No setting or variable can say it in place of the flag.
if ompi_info 2>/dev/null | grep -q 'FT MPI support: yes'; then
    PRNG_MPI_RANKS=(--with-ft ulfm "${PRNG_MPI_RANKS[@]}")
fi

# What starts Python on a host: the choice goes along as a word of the command, so no file is needed there.
PRNG_MPI_PYTHON=(python)
if [ -n "${ENVIRONMENTS:-}" ]; then
    choice='host=$(uname -n); case ${host%%.*} in '
    while read -r pattern interpreter rest; do
        if [ -z "$pattern" ]; then continue; fi
        if [ -z "$interpreter" ] || [ -n "$rest" ]; then
            echo "prng_mpi: $ENVIRONMENTS: write lines of PATTERN INTERPRETER, not: $pattern $interpreter $rest" >&2
            exit 2
        fi
        choice+="$pattern) exec $(printf %q "$interpreter") \"\$@\" ;; "
    done < <(sed 's/#.*//' "$ENVIRONMENTS")
    PRNG_MPI_PYTHON=(bash -c "$choice *) exec python \"\$@\" ;; esac" python)
fi

# Start ranks so that Ctrl-C once finishes the chunks that run (exit 5) and twice ends at once (exit 3): mpirun itself
# kills every rank at the first, so it gets a session of its own and, for each Ctrl-C, SIGUSR1, which it passes on. So it
# does SIGUSR2: show where the run is.
run_ranks() {
    # What mpirun leaves in the temporary folder after a kill makes a later one with the same process id fail.
    local scratch status=0 pid
    scratch=$(mktemp -d)
    if [ "$1" = python ]; then set -- "${PRNG_MPI_PYTHON[@]}" "${@:2}"; fi
    TMPDIR=$scratch PRNG_MPI_EXIT=$scratch/exit setsid mpirun "${PRNG_MPI_RANKS[@]}" "$@" <&0 &
    pid=$!
    trap 'kill -USR1 $pid 2>/dev/null' INT USR1
    trap 'kill -USR2 $pid 2>/dev/null' USR2
    trap 'kill -TERM $pid 2>/dev/null' TERM HUP
    # A trap ends a wait early; only the last one tells how mpirun ended.
    while kill -0 $pid 2>/dev/null; do wait $pid || true; done
    wait $pid || status=$?
    # Root's own word: mpirun's code is 0 after a dead host, and 1, which is "nothing found", after a signal.
    if [ -e "$scratch/exit" ]; then
        status=$(cat "$scratch/exit")
    elif [ "$status" -lt 2 ]; then
        echo "prng_mpi: mpirun ended with $status, but root never said how it ended (it should be on this host, the first of the hostfile); the same command resumes" >&2
        status=3
    fi
    rm -rf "$scratch"
    return "$status"
}

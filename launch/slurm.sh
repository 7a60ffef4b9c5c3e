#!/usr/bin/env bash
# A sample for Slurm: sbatch launch/slurm.sh --draws draws.json --recipe java.nextInt ...    (the options of the sieve)
#
# tests/test_slurm.py runs it on two nodes of a Slurm 22.05 with PMIx. Fit the lines below to the site, and try it on two first.
#
# srun starts the ranks here, so there is no ULFM: a rank that dies ends the job. Nothing is lost but the chunks that ran,
# since root's ledger has the rest; Slurm requeues the job, and the same command resumes. The results folder must outlive
# the node of root, so it belongs on a shared file system with locks, and is given here once for all runs of the job.
#
#SBATCH --job-name=prng_mpi
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=8
# Every rank sees all GPUs of its node and takes the one of its place there, as under mpirun.
#SBATCH --gpus-per-node=8
#SBATCH --time=24:00:00
# A node that fails, or a job that is pushed aside, starts again by itself; its output goes on in the same file.
#SBATCH --requeue
#SBATCH --open-mode=append
# Two minutes before the time is up: SIGUSR1 to this script, which is far more than a chunk takes (--chunk-seconds).
#SBATCH --signal=B:USR1@120
set -euo pipefail
# Slurm runs a copy of this file, so the checkout is where sbatch was called.
cd "${SLURM_SUBMIT_DIR:-.}"
# shellcheck source-path=SCRIPTDIR/..
. launch/env.sh

folder=${PRNG_MPI_OUTPUT:-results/slurm-${SLURM_JOB_NAME:-prng_mpi}-${SLURM_JOB_ID:-0}}
unset PRNG_MPI_OUTPUT
# pmix is what Open MPI wants; a site's MPICH wants --mpi=pmi2. See srun --mpi=list.
# A summary of the run before must not speak for this one.
rm -f "$folder/summary.json"
srun --mpi="${SRUN_MPI:-pmix}" --gpu-bind=none --kill-on-bad-exit=1 "${PRNG_MPI_PYTHON[@]}" -m prng_mpi.sieve --output-dir "$folder" "$@" &
ranks=$!

# The warning: every rank hears SIGUSR1 through srun, root finishes the chunks that run and ends with 5, and the job goes
# back into the queue. A drain takes as long as a chunk.
again=0
# shellcheck disable=SC2329  # The trap calls it.
warned() {
    again=1
    kill -USR1 "$ranks" 2>/dev/null || true
}
trap warned USR1
while kill -0 "$ranks" 2>/dev/null; do wait "$ranks" || true; done
status=0
wait "$ranks" || status=$?

# srun's own code is not root's for sure, the summary is: there is none unless the run came to an end of its own.
ended=$(sed -n 's/^ *"exit_code": *\([0-9]*\).*/\1/p' "$folder/summary.json" 2>/dev/null || true)
case ${ended:-none} in
5) [ "$again" = 0 ] || exec scontrol requeue "$SLURM_JOB_ID" ;;
# No end of its own: a rank or a node was lost. Five times at most, so that a hopeless job does not go round for ever.
none) [ "$status" = 2 ] || [ "${SLURM_RESTART_COUNT:-0}" -ge 5 ] || exec scontrol requeue "$SLURM_JOB_ID" ;;
esac
exit "${ended:-$status}"

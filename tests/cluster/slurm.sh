#!/usr/bin/env bash
# Slurm on the first hosts of the simulated cluster, for tests: tests/cluster/cluster.sh tests/cluster/slurm.sh COMMAND... runs
# COMMAND on the first host while slurmctld runs there and slurmd on NODES hosts (2). Needs slurmctld and slurmd (Debian: slurm-wlm).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mapfile -t hosts < <(sed 's/#.*//' "$here/../../hostfile" | awk 'NF { print $1 }' | head -n "${NODES:-2}")
for daemon in slurmctld slurmd; do
    command -v "$daemon" >/dev/null || { echo "slurm: $daemon is missing (as root: apt-get install slurm-wlm)" >&2; exit 2; }
done

# Private to the cluster, as cluster.sh has mounted it.
state=/var/tmp/slurm
mkdir -p "$state/state"
export SLURM_CONF=$state/slurm.conf
cat > "$SLURM_CONF" <<CONF
ClusterName=simulated
SlurmctldHost=${hosts[0]}
SlurmUser=root
AuthType=auth/none
CredType=cred/none
# Else a job that goes back into the queue waits there for two minutes.
AuthInfo=cred_expire=5
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
GresTypes=gpu
SlurmdParameters=config_overrides
StateSaveLocation=$state/state
SlurmctldPidFile=$state/slurmctld.pid
SlurmctldLogFile=$state/slurmctld.log
# Hosts share their disks here.
TmpFS=$state/%n
SlurmdSpoolDir=$state/%n
SlurmdPidFile=$state/%n.pid
SlurmdLogFile=$state/%n.log
KillWait=5
$(for host in "${hosts[@]}"; do echo "NodeName=$host CPUs=8 Gres=gpu:8"; done)
PartitionName=all Nodes=ALL Default=YES State=UP
CONF
# Eight devices that do nothing.
for gpu in 0 1 2 3 4 5 6 7; do mknod "$state/gpu$gpu" c 1 3; done
echo "Name=gpu File=$state/gpu[0-7]" > "$state/gres.conf"

daemons=()
trap 'kill "${daemons[@]}" 2>/dev/null; wait' EXIT
slurmctld -D & daemons+=($!)
for host in "${hosts[@]}"; do
    mkdir -p "$state/$host"
    "$here/on.sh" "$host" slurmd -D & daemons+=($!)
done
for _ in $(seq 100); do
    if [ "$(sinfo --noheader --Node --states=idle 2>/dev/null | wc -l)" = "${#hosts[@]}" ]; then break; fi
    sleep 0.2
done
"$@"

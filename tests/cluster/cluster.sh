#!/usr/bin/env bash
# A cluster of simulated hosts on one machine, for tests: tests/cluster/cluster.sh COMMAND... runs COMMAND on the first host
# of the shipped hostfile, with a private network to the others; without a command, a shell. Needs root and ip (iproute2).
#
#   tests/cluster/cluster.sh                  a shell on zeus, in which mpirun -hostfile hostfile -np 26 ... just works
#   tests/cluster/cluster.sh link rig2 down   inside the cluster: cut a cable, or up: mend it
#   tests/cluster/cluster.sh kill rig2        inside: kill every process of a host, MPI's daemon first
#
# All of it (network namespaces, cables, mounts, processes) lives in namespaces of one process, so when that ends, however
# it ends, the kernel takes everything down: nothing can stay behind. What is simulated: networks, host names, and a clean
# login through ssh.sh in place of ssh. What is not: disks and clocks, which the hosts share, and memory, unless a test gives
# a host a cgroup of its own (Cluster.memory in tests/simulated.py).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
hostfile=$here/../../hostfile
mapfile -t hosts < <(sed 's/#.*//' "$hostfile" | awk 'NF { print $1 }')

case ${1:-} in
link)
    ip -n switch link set "to-$2" "$3"
    exit
    ;;
kill)
    mapfile -t victims < <(ip netns pids "$2")
    kill -9 "${victims[@]}"
    exit
    ;;
esac

if [ -z "${SIMULATED_CLUSTER:-}" ]; then
    [ "$(id -u)" = 0 ] || { echo "cluster: network namespaces need root" >&2; exit 2; }
    command -v ip >/dev/null || { echo "cluster: ip is missing (as root: apt-get install iproute2)" >&2; exit 2; }
    SIMULATED_CLUSTER=1 exec unshare --mount --net --pid --fork --kill-child --mount-proc "${BASH_SOURCE[0]}" "$@"
fi

# From here on private to this cluster, as is what MPI leaves in temporary folders.
mkdir -p /run/netns
for folder in /run/netns /dev/shm /var/tmp; do mount -t tmpfs cluster "$folder"; done
export TMPDIR=/var/tmp
names=$(mktemp)
echo "127.0.0.1 localhost" > "$names"
for i in "${!hosts[@]}"; do echo "10.88.0.$((i + 1)) ${hosts[$i]}" >> "$names"; done
mount --bind "$names" /etc/hosts
rm "$names"

ip netns add switch
ip -n switch link add bridge type bridge
ip -n switch link set bridge up
for i in "${!hosts[@]}"; do
    host=${hosts[$i]}
    ip netns add "$host"
    ip link add eth0 netns "$host" type veth peer name "to-$host" netns switch
    ip -n switch link set "to-$host" master bridge up
    ip -n "$host" addr add "10.88.0.$((i + 1))/24" dev eth0
    ip -n "$host" link set eth0 up
    ip -n "$host" link set lo up
done

export PRTE_MCA_plm_ssh_agent=$here/ssh.sh
# Not exec: the first process of a pid namespace takes no signals by default.
"$here/on.sh" "${hosts[0]}" "${@:-bash}"

#!/usr/bin/env bash
# Run a command on a simulated host: its network, its name, its memory where it has less than all. tests/cluster/on.sh HOST COMMAND...
host=$1
shift
# What its processes may take together, where simulated.py has given it a memory cgroup.
[ ! -e "/run/netns/.$host-memory" ] || echo $$ > "$(cat "/run/netns/.$host-memory")/cgroup.procs" || exit
# shellcheck disable=SC2016  # The inner shell expands.
exec nsenter --net="/run/netns/$host" unshare --uts bash -c 'hostname "$0" && exec "$@"' "$host" "$@"

#!/usr/bin/env bash
# Run a command on a simulated host: its network, its name. tests/cluster/on.sh HOST COMMAND...
host=$1
shift
# shellcheck disable=SC2016  # The inner shell expands.
exec nsenter --net="/run/netns/$host" unshare --uts bash -c 'hostname "$0" && exec "$@"' "$host" "$@"

#!/usr/bin/env bash
# In place of ssh within the simulated cluster: ssh.sh [OPTIONS] HOST COMMAND... As with ssh, the command starts in the home
# folder with a clean environment, and a host whose cable is cut does not answer.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
while [[ $1 == -* ]]; do
    case $1 in
    -[lpioFJ]) shift 2 ;;
    *) shift ;;
    esac
done
host=${1#*@}
shift
if ! ip -n switch link show "to-$host" 2>/dev/null | grep -q "state UP"; then
    sleep 1
    echo "ssh: connect to host $host port 22: No route to host" >&2
    exit 255
fi
cd "$HOME" || exit
exec env -i HOME="$HOME" USER=root SHELL=/bin/bash TMPDIR=/var/tmp \
    PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
    "$here/on.sh" "$host" bash -c "$*"

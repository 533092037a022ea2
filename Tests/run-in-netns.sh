#!/bin/sh
# Runs a command in a new network namespace, where tests may make links, firewall tables and DNS servers without
# touching the host's. ISLE_HOST_NETNS tells the tests which namespace is the host's.
# usage: Tests/run-in-netns.sh COMMAND [ARGUMENT...]
set -eu
ISLE_HOST_NETNS=$(readlink /proc/self/ns/net)
export ISLE_HOST_NETNS
# A mount namespace too, so that /sys shows the new network namespace; /proc/sys/net follows the process by itself.
exec unshare --net --mount --propagation private sh -c '
    mount -t sysfs sysfs /sys 2>/dev/null || true
    ip link set lo up
    exec "$@"
' sh "$@"

#!/bin/sh
# Run by dpkg before the files go. Without the program nobody could take down what it made in the kernel. The state
# stays: a package that is installed again attaches all again.
set -e
[ "$1" = remove ] || exit 0
[ ! -d /run/systemd/system ] || deb-systemd-invoke stop meshnet.service >/dev/null || true
meshnet reset --yes --keep-state </dev/null || echo "meshnet: what it made on this host stays until the next boot" >&2

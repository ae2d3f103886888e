#!/bin/sh
# Run by dpkg after the files are there; $2 is the version that was there before. A first installation starts nothing:
# a router without settings would open a port and share out addresses.
set -e
case $1 in
configure | abort-upgrade | abort-deconfigure | abort-remove) ;;
*) exit 0 ;;
esac
if deb-systemd-helper debian-installed meshnet.service; then
  deb-systemd-helper unmask meshnet.service >/dev/null || true
  if deb-systemd-helper --quiet was-enabled meshnet.service; then
    deb-systemd-helper enable meshnet.service >/dev/null || true
  fi
fi
deb-systemd-helper update-state meshnet.service >/dev/null || true
[ -d /run/systemd/system ] || exit 0
systemctl --system daemon-reload >/dev/null || true
# The kernel carries the traffic while a running router is replaced.
[ -z "${2-}" ] || deb-systemd-invoke try-restart meshnet.service >/dev/null || true

#!/bin/sh
# Run by dpkg after the files are gone. Purging takes the settings, the identity of this host and its addresses.
set -e
[ ! -d /run/systemd/system ] || systemctl --system daemon-reload >/dev/null || true
case $1 in
remove)
  rm -rf /var/cache/meshnet
  [ ! -x /usr/bin/deb-systemd-helper ] || deb-systemd-helper mask meshnet.service >/dev/null || true
  ;;
purge)
  if [ -x /usr/bin/deb-systemd-helper ]; then
    deb-systemd-helper purge meshnet.service >/dev/null || true
    deb-systemd-helper unmask meshnet.service >/dev/null || true
  fi
  rm -rf /etc/meshnet /etc/default/meshnet /var/lib/meshnet /var/cache/meshnet /run/meshnet
  rm -f /etc/docker/plugins/meshnet.json
  rmdir /etc/netns 2>/dev/null || true
  ;;
esac

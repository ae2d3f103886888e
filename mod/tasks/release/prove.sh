#!/bin/sh
# Run by systemd in the root that prove.ts has made, on a kernel of its own: what the package does to a host. Two versions
# of it lie in /prove, and what is proven is written to /prove/lines.
set -eu
exec 3>>/prove/lines >>/prove/log 2>&1
set -x

ok() { echo "ok: $*" >&3; }
end() {
  code=$?
  trap - EXIT
  if [ "$code" -eq 0 ]; then echo done >&3; else
    {
      tail -n 40 /prove/log
      journalctl -u meshnet.service --no-pager -n 40
      echo failed
    } >&3 2>&1
  fi
  sync
  systemctl halt -ff
}
trap end EXIT

# Fails with a word, unless the command after it succeeds within half a minute.
until_ok() {
  what=$1
  shift
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || { echo "waited in vain: $what" >&3; return 1; }
    sleep 0.5
  done
}
active() { [ "$(systemctl is-active meshnet.service)" = "$1" ]; }
# What the program makes in the kernel of its own host.
made() { ip -o link | grep -E ' (vmn[0-9a-z]+|meshnet|mesh-tap|vxlan-[0-9]+)[:@]'; }
pings() { ip netns exec c1 ping -n -c 3 -i 0.2 -W 2 10.2.1.2; }

# The other host: a namespace with a copy of the program, which updates of the package leave alone.
ip link add under1 type veth peer name under2
ip netns add other
ip link set under2 netns other
ip addr add 192.168.77.1/24 dev under1
ip link set under1 up
ip -n other addr add 192.168.77.2/24 dev under2
ip -n other link set under2 up
ip -n other link set lo up
ip netns add c1
ip netns add c2

dpkg -i /prove/first.deb
active inactive
[ -z "$(made)" ]
[ "$(stat -c '%a %U' /usr/lib/meshnet/meshnet)" = "755 root" ]
for file in /usr/share/man/man8/meshnet-attach.8.gz /usr/share/bash-completion/completions/meshnet \
  /usr/share/doc/meshnet/examples/meshnet.toml /usr/share/doc/meshnet/sbom.cdx.json; do [ -s "$file" ]; done
ok "dpkg installs it, and starts nothing"

cat >/etc/meshnet/meshnet.toml <<'END'
name = "02:00:00:00:00:01"
peers = ["192.168.77.2"]
docker = "off"
END
systemctl enable --now meshnet.service
active active
[ -z "$(find /var/cache/meshnet -size +20M)" ]
ok "systemd starts it; no second copy of the program is on the disk"

mkdir /opt/other
cp -r /usr/lib/meshnet/. /opt/other
sed 's,/usr/lib/meshnet,/opt/other,g' /usr/bin/meshnet >/opt/other/command # the program itself is `meshnet` there
chmod 755 /opt/other/command
ip netns exec other /opt/other/command up --name 02:00:00:00:00:02 --docker off --docker-plugin off \
  --run-dir /run/other --state-dir /run/other-state --peers 192.168.77.1 &
meshnet wait --peers 1 --timeout 60
meshnet attach 10.2.1.1/24 netns:c1
until_ok "the other host attaches" /opt/other/command attach --run-dir /run/other 10.2.1.2/24 netns:c2
until_ok "containers reach each other" pings
until_ok "the kernel carries the traffic" sh -c 'meshnet status connections | grep fastdp'
pings
ok "containers of two hosts reach each other over the kernel's tunnel"

before=$(systemctl show -P MainPID meshnet.service)
ip netns exec c1 ping -n -i 0.05 10.2.1.2 >/prove/ping &
ping=$!
sleep 1
dpkg -i /prove/second.deb
active active
[ "$(systemctl show -P MainPID meshnet.service)" != "$before" ]
[ "$(dpkg-query -W -f '${Version}' meshnet)" = "$(cat /prove/second.version)" ]
meshnet wait --peers 1 --timeout 60
sleep 2
kill -INT "$ping"
wait "$ping" || true
sent=$(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1/p' /prove/ping)
received=$(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\2/p' /prove/ping)
tail -n 2 /prove/ping
[ "$sent" -gt 40 ]
[ "$sent" -eq "$received" ] || { echo "lost $((sent - received)) of $sent pings" >&3; false; }
ok "an update restarts it, and of $sent pings meanwhile none is lost"

[ -n "$(made)" ]
dpkg -r meshnet
[ -z "$(made)" ]
[ -s /var/lib/meshnet/meshnet.db ]
[ ! -e /usr/lib/meshnet ]
systemctl is-active meshnet.service && false
ok "removing it stops it and takes down what it made in the kernel; its state stays"

dpkg -i /prove/second.deb
systemctl start meshnet.service
until_ok "containers reach each other again" pings
ok "installed again, it attaches what was attached"

dpkg -P meshnet
[ -z "$(made)" ]
left=$(find / -xdev \( -path /prove -o -path /proc -o -path /sys -o -path /opt/other -o -path /run/other\* \) -prune -o \
  -iname '*meshnet*' -print)
[ -z "$left" ] || { echo "left behind: $left" >&3; false; }
systemctl cat meshnet.service && false
ok "purging it leaves nothing behind"

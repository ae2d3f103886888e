#!/bin/sh
# Started by emulate.ts in namespaces of its own. `$1` and `$2` are scripts that start the program: the first in an emulator
# of another processor, the second on this one. Two hosts with a password, without Open vSwitch.
set -eu
emulated=$1 native=$2 folder=$3
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns
printf %s "a password of this run" >"$folder/password"
chmod 600 "$folder/password"

ip netns add two
ip link add under1 type veth peer name under2 netns two
ip addr add 192.168.77.1/24 dev under1
ip -n two addr add 192.168.77.2/24 dev under2
for link in lo under1; do ip link set "$link" up; done
for link in lo under2; do ip -n two link set "$link" up; done

common="--datapath bridge --no-dns --docker off --docker-plugin off --password-file $folder/password"
# shellcheck disable=SC2086
"$emulated" up $common --run-dir /run/one --state-dir "$folder/one" --name 02:00:00:00:00:01 2>"$folder/emulated.log" &
# shellcheck disable=SC2086
ip netns exec two "$native" up $common --run-dir /run/two --state-dir "$folder/two" --name 02:00:00:00:00:02 \
  --peers 192.168.77.1 2>"$folder/native.log" &
fail() { cat "$folder/emulated.log" "$folder/native.log"; echo failed; exit 1; }

tries=0
until [ -e /run/one/control.sock ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 300 ] || fail
  sleep 1
done
"$native" wait --run-dir /run/two --peers 1 --timeout 120 || fail
grep -q "mesh/connected .*encrypted=true" "$folder/native.log" || fail
echo "ok: a daemon in the emulator and one on this processor connect, with a password"
echo done

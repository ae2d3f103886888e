#!/bin/sh
# Makes a Debian root that has nothing but what npm needs, and runs a command of the project in it. Started by fresh.ts
# in namespaces of its own for mounts, processes, System V objects and the host's name: what it mounts and starts ends
# with it. The folder is fresh.ts's to remove.
#
# Arguments: the root's folder; a folder for downloaded packages; release, mirror; how to call deno; its arguments.
# `$root.apt` holds apt's sources and settings, `$root.env` the command's environment, `$root.essential` the programs
# that must be there from the first.
set -eu
root=$1 packages=$2 release=$3 mirror=$4
shift 4

say() { echo "fresh: $*" >&2; }

say "making a Debian root, $release, with the essential packages"
mkdir -p "$root/var/cache/apt/archives"
mount --bind "$root" "$root" # `ip netns exec` needs a root that is a mount point
mount --bind "$packages" "$root/var/cache/apt/archives"
debootstrap --variant=minbase "$release" "$root" "$mirror" >"$root.log" 2>&1 || { tail -20 "$root.log" >&2; exit 1; }

# The kernel's folders, and devices: new ones, but for the few nodes that everybody has.
mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/tmp"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir "$root/dev/shm" "$root/dev/pts" "$root/dev/net"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for fd in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${fd%%:*}" "$root/dev/${fd#*:}"; done
for node in null zero full random urandom tty net/tun; do
  touch "$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done

# How this machine reaches the network: names, packages, certificates.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
rm -f "$root/etc/apt/sources.list"
cp -R "$root.apt/." "$root/etc/apt/"
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io" # nobody needs this root after a power cut

inside() { env -i - PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/srv LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
# shellcheck disable=SC2016
inside chroot "$root" sh -c 'for name do command -v "$name" >/dev/null || { echo "$name is not there"; exit 1; }; done' \
  sh $(cat "$root.essential")

say "installing nodejs and npm"
{
  inside chroot "$root" apt-get update -qq
  inside chroot "$root" apt-get install -y -qq --no-install-recommends nodejs npm
} >>"$root.log" 2>&1 || { tail -20 "$root.log" >&2; exit 1; }
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
[ ! -e "$HOME/.npmrc" ] || cp -L "$HOME/.npmrc" "$root/srv/.npmrc"

mv "$root.clone" "$root/srv/meshnet"
packages=$(inside chroot "$root" dpkg-query -f '.\n' -W | wc -l)
say "$* (in a root with $packages packages, node $(inside chroot "$root" node --version))"
env=$(cat "$root.env")
# From here on the root is the only one there is: a chroot would be left by whoever enters a mount namespace.
mkdir "$root/old"
cd "$root"
pivot_root . old
umount -l /old
rmdir /old
# shellcheck disable=SC2016,SC2086
inside $env sh -c 'cd /srv/meshnet && exec "$@"' sh "$@" </dev/null

#!/bin/sh
# meshnet @VERSION@ in one file: this launcher, then compressed data. The data is unpacked once into a cache folder
# named after its content; every later start only finds it there. MESHNET_CACHE_DIR names another folder.
set -u
# A reload that comes before the router listens to signals must not end it.
[ "${1-}" != up ] || trap '' HUP
case $0 in /*) exe=$0 ;; *) exe=$PWD/$0 ;; esac
id=@ID@
system=@SYSTEM_CACHE@

# Whether $1/$id is an unpacked copy that is as it was made, and that nobody but root or this user can have made. Files
# that were cut or changed have another size or time: unpacking sets the time of all to 0.
usable() {
  [ -x "$1/$id/meshnet" ] || return 1
  stamps=$(cd "$1/$id" && exec stat -c '%s %Y' @NAMES@ 2>/dev/null)
  [ "$stamps" = "@STAMPS@" ] || return 1
  [ -O "$1" ] && [ -O "$1/$id" ] && return 0
  # Only root makes entries there, and what this user cannot write is root's.
  [ "$1" = "$system" ] && [ ! -w "$1" ] && [ ! -w "$1/$id" ]
}

@RUNTIME@

# Starts the copy below $1.
start() {
  dir=$1/$id
  shift
  keep=$dir
  [ -w "$dir" ] || keep=$own
  start_program "$dir" "$keep/cache" "$@"
}

# Data bytes, uncompressed: $1 is the position of the first compressed byte from 1, $2 their number.
piece() {
  tail -c "+$1" "$exe" | head -c "$2" | gzip -dc
}

# Writes one piece into the file $1; $2 is "megabyte,position,number".
fill() {
  IFS=,
  # shellcheck disable=SC2086
  set -- "$1" $2
  { dd bs=1048576 "seek=$2" count=0 conv=notrunc && piece "$3" "$4"; } 1<>"$1"
}

# Removes copies of other releases from the folder $1, each 100 MB, if they are older than a day and nothing runs them.
tidy() {
  for old in "$1"/*-*; do
    [ "$old" != "$1/$id" ] && [ -O "$old" ] && [ -e "$old/meshnet" ] || continue
    [ -n "$(find "$old" -prune -mtime +0 2>/dev/null)" ] || continue
    for running in /proc/[0-9]*/exe; do
      [ ! "$running" -ef "$old/meshnet" ] || continue 2
    done
    rm -rf "$old"
  done
}

# Unpacks into the folder $1; false when that is not possible there. A copy appears under its final name whole or not
# at all, and of several starts at once the first one to finish wins.
unpack() (
  [ -w "$1" ] || [ ! -e "$1" ] || exit 1
  mode=700
  umask 077
  [ "$1" != "$system" ] || { mode=755 && umask 022; }
  mkdir -p "$1" && [ -O "$1" ] || exit 1
  # Writable for others without the sticky bit: anybody could put a folder of his own in place of ours.
  [ -z "$(find "$1" -prune -perm /022 ! -perm -1000)" ] || exit 1
  new=$(mktemp -d "$1/.new.XXXXXXXX") || exit 1
  trap 'rm -rf "$new"' EXIT
  trap 'exit 1' HUP INT TERM
  jobs=
  for spec in @PIECES@; do
    fill "$new/meshnet" "$spec" &
    jobs="$jobs $!"
  done
  failed=
  piece @FILES@ >"$new/files" && tar -xof "$new/files" -C "$new" && rm "$new/files" || failed=1
  for job in $jobs; do wait "$job" || failed=1; done
  [ -z "$failed" ] && [ "$(wc -c <"$new/meshnet")" -eq @DENO_SIZE@ ] || exit 1
  touch -d @0 "$new/meshnet" && chmod "$mode" "$new" "$new/meshnet" && "$new/meshnet" --version >/dev/null || exit 1
  sync "$new/meshnet" "$new"/*.js "$new"/*/*
  usable "$1" && exit 0 # another start was faster
  [ ! -O "$1/$id" ] || rm -rf "${1:?}/$id"
  mv -T "$new" "$1/$id"
  usable "$1" || exit 1
  tidy "$1"
)

look_at_limits
own=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/meshnet
first=${MESHNET_CACHE_DIR:-$system}
case $first in /*) ;; *) first=$PWD/$first ;; esac
usable "$first" && start "$first" "$@"
private=${TMPDIR:-/tmp}/meshnet-cache-$(id -u)
for base in "$first" "$system" "$own" "$private"; do
  if usable "$base" || unpack "$base" 2>/dev/null; then start "$base" "$@"; fi
done
{
  echo "meshnet: Cannot unpack itself into $first, $system, $own or $private"
  echo "  Such a folder must be yours, have 120 MB of room and allow programs: name one in MESHNET_CACHE_DIR"
} >&2
exit 1

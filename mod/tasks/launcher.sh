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
  [ -x "$1/$id/deno" ] || return 1
  stamps=$(cd "$1/$id" && exec stat -c '%s %Y' @NAMES@ 2>/dev/null)
  [ "$stamps" = "@STAMPS@" ] || return 1
  [ -O "$1" ] && [ -O "$1/$id" ] && return 0
  # Only root makes entries there, and what this user cannot write is root's.
  [ "$1" = "$system" ] && [ ! -w "$1" ] && [ ! -w "$1/$id" ]
}

# Says why the runtime cannot start under these limits; it would only print a stack.
refuse() {
  echo "meshnet: $1" >&2
  echo "hint: $2" >&2
  exit 1
}

# Refuses when $1 more threads may be made and that is too few. $2 is the limit, $3 how to raise it.
need_threads() {
  [ "$1" -lt 64 ] || return 0
  # The runtime makes a thread for each processor, 16 at most, and up to a dozen more. Without room for one, not even
  # nproc can be started.
  cpus=1
  [ "$1" -lt 3 ] || cpus=$(nproc 2>/dev/null || echo 1)
  [ "$cpus" -le 16 ] || cpus=16
  [ "$1" -ge $((cpus + 12)) ] || refuse "Only $1 more threads may be made, too few to run: $2" "$3"
}

# Looks at what the cgroups of this process leave.
look_at_cgroups() {
  while IFS=: read -r _ kind group; do
    case ,$kind, in
    ,,) top=/sys/fs/cgroup ;;
    *,pids,*) top=/sys/fs/cgroup/pids ;;
    *) continue ;;
    esac
    while :; do
      file=$top$group/pids.max
      if [ -r "$file" ] && read -r most <"$file" && [ "$most" != max ] && read -r now <"$top$group/pids.current"; then
        need_threads $((most - now)) "pids.max is $most" \
          "Raise it by 64 or more: --pids-limit of the container, TasksMax= of the service, or $file"
      fi
      case $group in ?*/*) group=${group%/*} ;; /?*) group=/ ;; *) break ;; esac
    done
  done </proc/self/cgroup
}

# Looks at a low limit $1 of this user's processes. It counts threads, and does not hold for root of the machine.
look_at_processes() {
  read -r _ _ ids </proc/self/uid_map
  [ "$ids" != 4294967295 ] || while read -r key _ user _; do
    [ "$key" != Uid: ] || { [ "$user" != 0 ] || return 0; break; }
  done </proc/self/status
  count=0
  for thread in /proc/[0-9]*/task/*; do [ ! -O "$thread" ] || count=$((count + 1)); done
  need_threads $(($1 - count)) "the limit of processes is $1, $count are there" \
    "Raise the limit: ulimit -u $((count + 1024)), or LimitNPROC= of the service"
}

# Raises a low limit of open files as far as it may, and refuses limits with which the runtime dies. The threads come
# first: without room for one nothing else can be started.
look_at_limits() {
  [ ! -r /proc/self/cgroup ] || look_at_cgroups
  [ -r /proc/self/limits ] || return 0
  while read -r _ a b c d _; do
    case "$a $b" in
    "processes unlimited") ;;
    processes*) [ "$b" -ge 1024 ] || look_at_processes "$b" ;;
    "open files")
      { [ "$c" = unlimited ] || [ "$c" -ge 256 ]; } && continue
      [ "$d" = unlimited ] || [ "$d" -gt 1024 ] && d=1024
      ulimit -S -n "$d" 2>/dev/null || d=$c
      [ "$d" -ge 64 ] || refuse "Only $d files may be open at once, too few to run" \
        "Raise the limit to 1024 or more: ulimit -n 1024, or LimitNOFILE= of the service"
      ;;
    "address space")
      [ "$c" = unlimited ] || [ "$c" -ge 36864000000 ] ||
        refuse "The limit of address space is $c bytes, too low to run" \
          "The runtime reserves 32 GiB of addresses, which takes no memory: ulimit -v unlimited, or LimitAS=infinity of the service"
      break
      ;;
    esac
  done </proc/self/limits
}

start() {
  dir=$1/$id
  shift
  unset DENO_V8_FLAGS DENO_CERT DENO_TLS_CA_STORE DENO_AUTH_TOKENS NODE_OPTIONS NODE_PATH
  # Deno keeps what it found out about the program: without it each start takes 30 ms longer.
  keep=$dir
  [ -w "$dir" ] || keep=$own
  export DENO_DIR="$keep/cache" DENO_NO_UPDATE_CHECK=1 DENO_NO_PACKAGE_JSON=1
  export MESHNET_EXE="$exe" MESHNET_LIB_DIR="$dir/lib"
  exec "$dir/deno" run @FLAGS@ "$dir/main.js" "$@"
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
    [ "$old" != "$1/$id" ] && [ -O "$old" ] && [ -e "$old/deno" ] || continue
    [ -n "$(find "$old" -prune -mtime +0 2>/dev/null)" ] || continue
    for running in /proc/[0-9]*/exe; do
      [ ! "$running" -ef "$old/deno" ] || continue 2
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
    fill "$new/deno" "$spec" &
    jobs="$jobs $!"
  done
  failed=
  piece @FILES@ >"$new/files" && tar -xof "$new/files" -C "$new" && rm "$new/files" || failed=1
  for job in $jobs; do wait "$job" || failed=1; done
  [ -z "$failed" ] && [ "$(wc -c <"$new/deno")" -eq @DENO_SIZE@ ] || exit 1
  touch -d @0 "$new/deno" && chmod "$mode" "$new" "$new/deno" && "$new/deno" --version >/dev/null || exit 1
  sync "$new/deno" "$new"/*.js "$new"/*/*
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

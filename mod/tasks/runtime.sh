# Part of both launchers, that of the one file and that of a package: looks at limits, and starts the program.

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

# Runs the program in the folder $1. What the runtime finds out about it is kept in the folder $2: without it each
# start takes 30 ms longer.
start_program() {
  dir=$1
  unset DENO_V8_FLAGS DENO_CERT DENO_TLS_CA_STORE DENO_AUTH_TOKENS NODE_OPTIONS NODE_PATH
  export DENO_DIR="$2" DENO_NO_UPDATE_CHECK=1 DENO_NO_PACKAGE_JSON=1
  export MESHNET_EXE="$exe" MESHNET_LIB_DIR="$dir/lib"
  shift 2
  exec "$dir/meshnet" run @FLAGS@ "$dir/main.js" "$@"
}

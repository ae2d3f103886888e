#!/bin/sh
# meshnet @VERSION@ as a package has it: the program lies unpacked in @LIBRARY@.
set -u
# A reload that comes before the router listens to signals must not end it.
[ "${1-}" != up ] || trap '' HUP
exe=@COMMAND@

@RUNTIME@

look_at_limits
keep=${MESHNET_CACHE_DIR:-@CACHE@}
{ [ -w "$keep" ] && [ -O "$keep" ]; } || keep=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/meshnet
start_program @LIBRARY@ "$keep/runtime" "$@"

#!/usr/bin/env bash
# Takes the ABI as it is now for the one that later changes are compared with.
set -euo pipefail
cd "$(dirname "$0")/.."

"${CARGO:-cargo}" build --quiet --locked --package rampmeter-ffi
python3 packaging/abi.py layout include/rampmeter.h >packaging/abi/layout.txt
nm -D --defined-only "${CARGO_TARGET_DIR:-target}/debug/librampmeter_ffi.so" |
    awk '{ print $3 }' | sort >packaging/abi/symbols.txt

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 packaging/abi.py stubs include/rampmeter.h >"$work/stubs.c"
gcc -shared -fPIC -g -Iinclude "$work/stubs.c" -o "$work/stubs.so"
abidw --no-corpus-path --no-comp-dir-path --no-show-locs \
    --out-file packaging/abi/rampmeter.abi "$work/stubs.so"

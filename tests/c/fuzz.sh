#!/usr/bin/env bash
# Calls every function of the header in any order with any arguments, under AddressSanitizer.
#   tests/c/fuzz.sh [SECONDS [SEED [verbose]]]       PROFILE=dev is faster to build
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PREFIX=$work packaging/install.sh
python3 tests/c/fuzz_calls.py include/rampmeter.h >"$work/calls.c"
# What the header has no use for today stays unused.
gcc -std=gnu99 -O1 -g -Wall -Wextra -Werror -Wno-unused-function -Wno-cast-function-type \
    -fsanitize=address,undefined -fno-sanitize-recover=all -Itests/c "$work/calls.c" \
    $(PKG_CONFIG_PATH="$work/lib/pkgconfig" pkg-config --cflags --libs rampmeter-static) \
    -o "$work/fuzz"
# Too much memory is refused, as the system does it.
export ASAN_OPTIONS=allocator_may_return_null=1:symbolize=0
"$work/fuzz" "${2:-1}" "${1:-60}" ${3:-}

#!/usr/bin/env bash
# What a call from C takes on top of the same call from Rust, in instructions: both programs make the
# same calls, and the difference is divided by their number.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v valgrind >/dev/null; then
    echo "overhead: valgrind is not installed: not measured"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PROFILE=dist
PREFIX=$work packaging/install.sh
"${CARGO:-cargo}" build --quiet --locked --profile dist --package rampmeter-ffi --example overhead
gcc -std=gnu99 -O2 -g -Wall -Wextra -Werror tests/c/overhead.c \
    $(PKG_CONFIG_PATH="$work/lib/pkgconfig" pkg-config --cflags --libs rampmeter-static) \
    -o "$work/from_c"
cp "${CARGO_TARGET_DIR:-target}/dist/examples/overhead" "$work/from_rust"

count() { # program: one line for each kind of call, its name and its instructions
    (cd "$work" && valgrind --quiet --tool=callgrind --callgrind-out-file="$1.out" "./$1" >"$1.sum")
    callgrind_annotate --inclusive=yes --threshold=100 "$work/$1.out" |
        sed -n 's/^ *\([0-9,]*\) .*:\(host_[a-z_]*\) .*/\2 \1/p' | tr -d , | sort -u
}
count from_c >"$work/c"
count from_rust >"$work/rust"
cmp "$work/from_c.sum" "$work/from_rust.sum" || { echo "overhead: the answers differ" >&2; exit 1; }

# A mark where it is more than the 25 that a call should take.
join "$work/c" "$work/rust" | awk '
    BEGIN { rounds = 1000; printf "%-18s %8s %8s %8s\n", "call", "C", "Rust", "on top" }
    {
        top = ($2 - $3) / rounds
        printf "%-18s %8.0f %8.0f %8.0f%s\n", $1, $2 / rounds, $3 / rounds, top, top > 25 ? " !" : ""
        seen++
    }
    END { if (seen != 5) { print "overhead: not every call was counted"; exit 1 } }'

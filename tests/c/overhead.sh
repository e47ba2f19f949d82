#!/usr/bin/env bash
# What a call from C takes on top of the same call from Rust, in instructions: both programs make the
# same calls, and the difference is divided by their number. Fails beyond the budget of each.
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

# Budgets: the boundary alone 25; a structure 1 to 3 for each field that is converted.
join "$work/c" "$work/rust" | awk '
    BEGIN {
        rounds = 1000
        budget["host_cancel"] = 25; budget["host_next_event"] = 25
        budget["host_submit"] = 110; budget["host_form"] = 130; budget["host_observe"] = 110
        printf "%-18s %8s %8s %8s %8s\n", "call", "C", "Rust", "on top", "budget"
    }
    {
        top = ($2 - $3) / rounds
        printf "%-18s %8.0f %8.0f %8.1f %8d\n", $1, $2 / rounds, $3 / rounds, top, budget[$1]
        seen++; if (!($1 in budget) || top > budget[$1]) over = 1
    }
    END { if (seen != 5) { print "overhead: not every call was counted"; exit 1 } exit over }'

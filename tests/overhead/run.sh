#!/usr/bin/env bash
# What a call from C takes on top of the same call from Rust: in nanoseconds, blocks of calls of both
# by turns in one program, and in instructions, as callgrind counts them. The caller in Rust is a
# crate of its own (src/lib.rs), with cargo's own profile `release` and with `dist`, in which the
# compiler sees caller and library at once.
#   tests/overhead/run.sh            ROUNDS=, RUNS=
set -euo pipefail
cd "$(dirname "$0")"

rounds=${ROUNDS:-500}
runs=${RUNS:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PREFIX=$work PROFILE=dist ../../packaging/install.sh
libraries=()
for profile in release dist; do
    "${CARGO:-cargo}" build --quiet --locked --profile $profile --target-dir target
    libraries+=("target/$profile/librampmeter_caller.so")
done
for package in rampmeter rampmeter-static; do
    gcc -std=gnu99 -O2 -g -Wall -Wextra -Werror main.c \
        $(PKG_CONFIG_PATH="$work/lib/pkgconfig" pkg-config --cflags --libs $package) -ldl -o "$work/$package"
done
export LD_LIBRARY_PATH=$work/lib

# One run is the median of its blocks; of the runs, the median of each number.
median() {
    awk -F ';' '
        { if (!($1 in seen)) names[++kinds] = $1; n = ++seen[$1]
          for (i = 2; i <= NF; i++) values[$1, i, n] = $i }
        END { for (k = 1; k <= kinds; k++) {
            name = names[k]; line = name; n = seen[name]
            for (i = 2; i <= 4; i++) {
                for (a = 1; a <= n; a++) for (b = a + 1; b <= n; b++)
                    if (values[name, i, b] + 0 < values[name, i, a] + 0) {
                        t = values[name, i, a]; values[name, i, a] = values[name, i, b]; values[name, i, b] = t }
                line = line ";" values[name, i, int((n + 1) / 2)] }
            print line } }'
}
printf 'nanoseconds a call, and on top of the same call from Rust; blocks by turns, medians of %s runs\n' "$runs"
printf '%-16s %-7s %8s %16s %13s\n' call linked C 'on top: release' 'on top: dist'
for package in rampmeter rampmeter-static; do
    linked=shared
    [ $package = rampmeter ] || linked=static
    for _ in $(seq "$runs"); do "$work/$package" "$rounds" "${libraries[@]}"; done | median |
        awk -F ';' -v linked=$linked '{ printf "%-16s %-7s %8.1f %16.1f %13.1f\n", $1, linked, $2, $3, $4 }'
done

if ! command -v valgrind >/dev/null; then
    echo "overhead: valgrind is not installed: instructions not counted"
    exit 0
fi
# Both libraries have functions of the same names: one of them in each run.
calls=(submit cancel next_event form observe)
for profile in release dist; do
    valgrind --quiet --tool=callgrind --callgrind-out-file="$work/$profile" \
        "$work/rampmeter-static" count 10 "target/$profile/librampmeter_caller.so"
    callgrind_annotate --auto=no --inclusive=yes --threshold=100 "$work/$profile" |
        sed -n 's/^ *\([0-9,]*\) .*:\(c\|rust\)_\([a-z_]*\) .*/\2_\3 \1/p' | tr -d , >"$work/$profile.counts"
done
counted() { # profile, function: instructions a call
    awk -v name="$2" '$1 == name { print int($2 / 2000 + 0.5); found = 1 } END { exit !found }' \
        "$work/$1.counts" || { echo "overhead: $2 was not counted" >&2; exit 1; }
}
printf '\ninstructions a call, linked statically\n%-16s %8s %16s %13s\n' call C 'on top: release' 'on top: dist'
for call in "${calls[@]}"; do
    c=$(counted dist "c_$call")
    printf '%-16s %8d %16d %13d\n' "$call" "$c" $((c - $(counted release "rust_$call"))) \
        $((c - $(counted dist "rust_$call")))
done

#!/usr/bin/env bash
# Builds the core without std, links it into a C program, runs it, and looks at its symbols.
# Needs cargo, gcc and nm only.
set -euo pipefail
cd "$(dirname "$0")"

cargo build --quiet --locked --release --target-dir target
library=target/release/librampmeter_nostd.a
program=target/nostd-main
gcc -std=c11 -O1 -g -Wall -Wextra -Wpedantic -Werror main.c "$library" -o "$program"

"$program"

# Negative control: a seal that seals nothing would make the run above worthless. The program
# must be ended by SIGABRT (128 + 6), which the inner shell reports in its status.
status=0
bash -c '"$1" --allocate-after-seal; exit $?' _ "$program" 2>/dev/null || status=$?
if [ "$status" -ne 134 ]; then
    echo "allocating after the seal ended with $status, expected 134 (SIGABRT)" >&2
    exit 1
fi

# Rust's std must be neither in the program nor wanted by it. Its mangled names carry the crate:
# `3std` in both of Rust's schemes.
if nm -C "$program" | grep -E '(^|[ <&])std::' || nm "$program" | grep -E '_ZN3std|Cs[0-9A-Za-z]+_3std'; then
    echo "symbols of std in the program" >&2
    exit 1
fi
# Positive control: the same search does find the core's own names.
# (Not `grep -q`: it leaves at the first find, and `nm`, still writing, would fail the pipe.)
if ! nm -C "$program" | grep 'rampmeter::' >/dev/null; then
    echo "no symbol of rampmeter in the program: it was stripped, and the check above is blind" >&2
    exit 1
fi
# And it asks the C library for nothing that manages memory.
if nm --undefined-only "$program" | grep -E ' (malloc|calloc|realloc|free|posix_memalign|aligned_alloc|mmap|brk|sbrk)(@|$)'; then
    echo "the program asks the C library for memory" >&2
    exit 1
fi
echo "nostd: no symbol of std, no allocation after the seal, and the seal holds"

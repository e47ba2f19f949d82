#!/usr/bin/env bash
# How snapshots are handed from a poller to its readers, under ThreadSanitizer: it knows atomic
# instructions, which Helgrind and DRD do not. Needs the sanitizers that rustup brings, and some minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=x86_64-unknown-linux-gnu
runtime=$(rustc --print sysroot)/lib/rustlib/$target/lib/librustc-stable_rt.tsan.a
[ -e "$runtime" ] || { echo "tsan: no ThreadSanitizer beside rustc: not checked"; exit 0; }
built=${CARGO_TARGET_DIR:-target}/tsan
# The flag is not stable, and the standard library was built without it.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" \
    "${CARGO:-cargo}" rustc --quiet --locked --package rampmeter-ffi --no-default-features \
    --features probe --crate-type staticlib --target $target --target-dir "$built"
gcc -std=c99 -O1 -g -pthread -Wall -Wextra -Wpedantic -Werror -Iinclude tests/c/poller.c \
    "$built/$target/debug/librampmeter_ffi.a" -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive \
    $(cat packaging/native-static-libs) -lstdc++ -o "$built/poller"
# A child of a process with threads may have threads; addresses where the sanitizer wants them.
export TSAN_OPTIONS=die_after_fork=0:exitcode=66:suppressions=tests/c/tsan.supp
for _ in 1 2 3; do
    setarch -R "$built/poller"
done
echo "tsan: a poller and its readers: no race"

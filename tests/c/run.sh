#!/usr/bin/env bash
# The C ABI as a stranger meets it: installed somewhere, found by pkg-config and CMake, linked both
# ways by two compilers, and looked at by the checkers. PROFILE=dev is faster to build.
set -euo pipefail
cd "$(dirname "$0")/../.."

export PROFILE=${PROFILE:-dist}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/usr
PREFIX=$prefix packaging/install.sh
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
export LD_LIBRARY_PATH=$prefix/lib
warnings="-Wall -Wextra -Wpedantic -Werror"

say() { printf 'c: %s\n' "$*"; }
fail() { printf 'c: %s\n' "$*" >&2; exit 1; }
changed="if that is meant, run \`make abi-update\` and say so in CHANGELOG.md under ABI"
same() { # what, committed file, what is there now
    diff -u "$2" "$3" || fail "$1 changed: $changed"
}
have() {
    command -v "$1" >/dev/null || { say "$1 is not installed: $2 not checked"; return 1; }
}

# Header: what its sources say, and clean in both languages of two compilers, included twice.
"${CARGO:-cargo}" run --quiet --locked --package rampmeter-header -- --check
compilers=(gcc)
have clang "the second compiler" && compilers+=(clang)
cpp=
have g++ "C++" && cpp=yes
for compiler in "${compilers[@]}"; do
    for language in "c -std=c99 h" ${cpp:+"c++ -std=c++11 h" "c++ -std=c++11 hpp"}; do
        set -- $language
        printf '#include <rampmeter.%s>\n#include <rampmeter.%s>\n' "$3" "$3" |
            $compiler -x "$1" "$2" $warnings -I"$prefix/include" -fsyntax-only -
    done
done
for object in $(sed -n 's/^void rampmeter_\(.*\)_destroy(.*/\1/p' include/rampmeter.h); do
    grep "rampmeter_${object}_destroy>" include/rampmeter.hpp >/dev/null ||
        fail "include/rampmeter.hpp has no owner of rampmeter_$object"
done
say "the header is current, C99 and C++11 with ${compilers[*]}"

# ABI: layout, symbols, SONAME, and what a static link needs.
python3 packaging/abi.py layout include/rampmeter.h >"$work/layout.txt"
same "the layout of a structure" packaging/abi/layout.txt "$work/layout.txt"
nm -D --defined-only "$prefix/lib/librampmeter.so" | awk '{ print $3 }' | sort >"$work/symbols.txt"
same "the list of exported symbols" packaging/abi/symbols.txt "$work/symbols.txt"
have pkg-config "linking, examples, allocations and the fuzzer" || exit 0
version=$(pkg-config --modversion rampmeter)
readelf -d "$prefix/lib/librampmeter.so" | grep -F "[librampmeter.so.$version]" >/dev/null ||
    fail "the shared library has no SONAME librampmeter.so.$version"
if have abidiff "types of the ABI"; then
    python3 packaging/abi.py stubs include/rampmeter.h >"$work/stubs.c"
    gcc -shared -fPIC -g -Iinclude "$work/stubs.c" -o "$work/stubs.so"
    abidiff packaging/abi/rampmeter.abi "$work/stubs.so" || fail "a type of the ABI changed: $changed"
fi
native=$("${CARGO:-cargo}" rustc --locked --package rampmeter-ffi --crate-type staticlib -- \
    --print native-static-libs 2>&1 | sed -n 's/^note: native-static-libs: //p')
[ "$native" = "$(cat packaging/native-static-libs)" ] ||
    fail "a static link needs $native, and packaging/native-static-libs says otherwise"
grep -F -- "$native" README.md >/dev/null || fail "README.md does not name what a static link needs"
gcc -shared -fPIC tests/c/plugin.c $(pkg-config --cflags --libs rampmeter-static) -o "$work/plugin.so"
[ "$(nm -D --defined-only "$work/plugin.so" | awk '{ print $3 }')" = plugin_entry ] ||
    fail "a plugin that links the static library exports more than its own"
say "layout, symbols and SONAME are as committed; a plugin exports only its own"

# The README's program, as it is printed there.
awk '/^```c$/ { on = 1; next } /^```/ { on = 0 } on' README.md >"$work/readme.c"
[ -s "$work/readme.c" ] || fail "README.md has no program in C"
for package in rampmeter rampmeter-static; do
    gcc "$work/readme.c" $(pkg-config --cflags --libs $package) -o "$work/readme"
    "$work/readme" >"$work/out" || fail "the README's program failed ($package)"
done
say "the README's program prints: $(tail -1 "$work/out")"

build() { # compiler, package, flags, source, out
    $1 $3 $warnings "$4" $(pkg-config --cflags --libs "$2") -o "$5"
}
run_all() { # what, compiler, package, flags, how to run
    for source in examples/c/*.c ${cpp:+examples/cpp/*.cpp}; do
        local language=-std=c99 driver=$2
        case $source in *.cpp) language=-std=c++11 driver=${2/gcc/g++}; driver=${driver/clang/clang++} ;; esac
        build "$driver" "$3" "$language $4" "$source" "$work/example"
        $5 "$work/example" >"$work/out" 2>&1 || { cat "$work/out"; fail "$source failed: $1"; }
    done
    say "examples: $1"
}
for compiler in "${compilers[@]}"; do
    run_all "$compiler, shared" "$compiler" rampmeter "-O1" ""
    run_all "$compiler, static" "$compiler" rampmeter-static "-O1" ""
done
run_all "AddressSanitizer and UBSan" gcc rampmeter-static \
    "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" ""
nm "$work/example" | grep __asan_init >/dev/null || fail "the sanitizer was not in the program"
if have valgrind "leaks and threads"; then
    run_all "Valgrind" gcc rampmeter "-O1 -g" "valgrind --quiet --error-exitcode=9 --leak-check=full"
    build gcc rampmeter "-std=c99 -O1 -g -pthread" tests/c/threads.c "$work/threads"
    for tool in helgrind drd; do
        valgrind --tool=$tool --quiet --error-exitcode=9 "$work/threads" || fail "$tool found a race"
    done
    say "two threads: Helgrind and DRD find nothing"
    build gcc rampmeter "-std=c99 -O1 -g -pthread" tests/c/poller.c "$work/poller"
    for tool in helgrind drd; do
        valgrind --tool=$tool --quiet --suppressions=tests/c/atomics.supp --error-exitcode=9 \
            "$work/poller" || fail "$tool found something about the poller"
    done
    say "a poller, readers, a child, a signal: Helgrind and DRD find nothing beside atomics"
fi
for package in rampmeter rampmeter-static; do
    build gcc $package "-std=c99 -O1" tests/c/no_allocation.c "$work/no_allocation"
    found=$("$work/no_allocation") || fail "$package allocates"
    say "$package: $found"
done

# CMake, in a folder that was moved: nothing may point to where it was installed.
if [ -n "$cpp" ] && have cmake "the CMake package"; then
    mv "$prefix" "$work/moved"
    export LD_LIBRARY_PATH=$work/moved/lib
    cmake -S tests/c -B "$work/cmake" -DCMAKE_PREFIX_PATH="$work/moved" >"$work/out" || { cat "$work/out"; exit 1; }
    cmake --build "$work/cmake" --parallel 2 >"$work/out" || { cat "$work/out"; exit 1; }
    (cd "$work/cmake" && ctest --output-on-failure >"$work/out") || { cat "$work/out"; exit 1; }
    say "CMake: $(grep -o '[0-9]* tests failed out of [0-9]*\|100% tests passed.*' "$work/out" | head -1)"
fi

found=$(tests/c/fuzz.sh "${FUZZ_SECONDS:-60}" "${FUZZ_SEED:-1}") || fail "the fuzzer ended with $?"
say "fuzzer: $found"

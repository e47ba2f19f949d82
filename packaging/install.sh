#!/usr/bin/env bash
# Installs headers, static and shared library, pkg-config and CMake packages.
#
#   PREFIX    where it will be used from, an absolute path     /usr/local
#   DESTDIR   put in front of it while a package is made       nothing
#   LIBDIR    below PREFIX                                     lib
#   PROFILE   cargo's profile                                  dist
#   PROBE     no: without GPU readings, their thread and       yes
#             the drivers that they load
set -euo pipefail
cd "$(dirname "$0")/.."

PREFIX=${PREFIX:-/usr/local}
LIBDIR=${LIBDIR:-lib}
DESTDIR=${DESTDIR:-}
PROFILE=${PROFILE:-dist}
CARGO=${CARGO:-cargo}
features=
[ "${PROBE:-yes}" = no ] && features=--no-default-features
case $PREFIX in /*) ;; *) echo "PREFIX = $PREFIX is not an absolute path" >&2; exit 2 ;; esac

# The crate is a Rust library, too, for its tests; with that among its kinds cargo would leave out
# what the profile says of link-time optimisation.
"$CARGO" rustc --quiet --locked --profile "$PROFILE" --package rampmeter-ffi $features \
    --crate-type staticlib,cdylib
built=${CARGO_TARGET_DIR:-target}/$PROFILE
[ "$PROFILE" = dev ] && built=${CARGO_TARGET_DIR:-target}/debug

version=$(awk -F '"' '/^version = / { print $2; exit }' Cargo.toml)
native=$(cat packaging/native-static-libs)
up=$(printf '%s' "$LIBDIR" | sed 's|[^/][^/]*|..|g')
lib=$DESTDIR$PREFIX/$LIBDIR

install -d "$lib/pkgconfig" "$lib/cmake/rampmeter" "$DESTDIR$PREFIX/include"
install -m 644 include/rampmeter.h include/rampmeter.hpp "$DESTDIR$PREFIX/include"
install -m 644 "$built/librampmeter_ffi.a" "$lib/librampmeter.a"
install -m 755 "$built/librampmeter_ffi.so" "$lib/librampmeter.so.$version"
strip --strip-debug "$lib/librampmeter.a" "$lib/librampmeter.so.$version"
ln -sf "librampmeter.so.$version" "$lib/librampmeter.so"

fill() { # template, where to, native libraries in its syntax
    sed -e "s|@PREFIX@|$PREFIX|g" -e "s|@LIBDIR@|$LIBDIR|g" -e "s|@VERSION@|$version|g" \
        -e "s|@UP@|$up|g" -e "s|@NATIVE@|$3|g" "packaging/templates/$1" >"$2/$1"
    chmod 644 "$2/$1"
}
fill rampmeter.pc "$lib/pkgconfig" "$native"
fill rampmeter-static.pc "$lib/pkgconfig" "$native"
list=$(printf '%s' "$native" | sed -e 's/^-l//' -e 's/ -l/;/g')
fill rampmeterConfig.cmake "$lib/cmake/rampmeter" "$list"
fill rampmeterConfigVersion.cmake "$lib/cmake/rampmeter" "$list"

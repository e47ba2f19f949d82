#!/usr/bin/env bash
# The wheel as a stranger meets it: built once as it ships, installed for every CPython that is here,
# tested, its types checked with nothing else installed; then the integrations with what they are
# for; then the source distribution and a clean checkout. PROFILE=dev is faster to build.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$PWD/${CARGO_TARGET_DIR:-target}/py
mkdir -p "$work"
say() { printf 'py: %s\n' "$*"; }
fail() { printf 'py: %s\n' "$*" >&2; exit 1; }

find_python() { # version: the first that can make virtual environments
    local candidate
    for candidate in $(type -ap "python$1" || true) "$HOME/.pyenv/versions/$1".*/bin/python; do
        if "$candidate" -c "import ensurepip, sys, venv
assert sys.version_info[:2] == tuple(map(int, '$1'.split('.')))" >"$work/log" 2>&1; then
            echo "$candidate"
            return
        fi
    done
}
versions=() missing=()
declare -A pythons
for version in 3.11 3.12 3.13 3.14; do
    found=$(find_python $version)
    if [ -n "$found" ]; then
        versions+=("$version") pythons[$version]=$found
    elif [ $version != 3.14 ]; then
        missing+=("$version")
    fi
done
[ "${#versions[@]}" -gt 0 ] || fail "no CPython from 3.11 on with venv (Debian: python3-venv)"
[ "${#missing[@]}" -eq 0 ] || say "CPython ${missing[*]} is not here: the wheel is not tested with it"
newest=${versions[-1]}

venv() { # name, version: an empty one
    rm -rf "${work:?}/$1"
    "${pythons[$2]}" -m venv "$work/$1"
}
install() { # name, what
    "$work/$1/bin/python" -m pip install --quiet --disable-pip-version-check "${@:2}" >"$work/log" 2>&1 ||
        { cat "$work/log"; fail "could not install ${*:2}: is PyPI (or its mirror) reachable?"; }
}
quietly() { # what it is, command
    "${@:2}" >"$work/log" 2>&1 || { cat "$work/log"; fail "$1 failed"; }
}
pytest() { # name, arguments
    "$work/$1/bin/python" -m pytest -q -p no:cacheprovider "${@:2}"
}
# Without the working tree's own copy of the package, which a developer may have built.
smoke='import rampmeter; rampmeter.Gate(rampmeter.Policy(), servers=1); print(rampmeter.__version__)'

# The wheel as it ships, and nothing but it.
venv build "$newest"
rm -rf "$work/wheels" "$work/sdist"
quietly "the wheel (is PyPI reachable?)" "$work/build/bin/python" -m pip wheel --quiet --no-deps \
    --disable-pip-version-check --config-settings=build-args="--locked --profile=${PROFILE:-release}" \
    --wheel-dir "$work/wheels" .
wheel=$(ls "$work"/wheels/rampmeter-*-abi3-*.whl) || fail "the wheel is not one for all versions (abi3)"
say "built $(basename "$wheel"), $(($(stat -c %s "$wheel") / 1024)) KiB"
tests="pytest pytest-timeout hypothesis"
for version in "${versions[@]}"; do
    venv "$version" "$version"
    install "$version" "$wheel" $tests
    quietly "the tests with CPython $version" pytest "$version" tests/python
    say "CPython $("$work/$version/bin/python" -V | cut -d' ' -f2): $(tail -1 "$work/log")"
done

# A CPython without a GIL has no stable ABI before 3.15: its wheel is for that version alone.
free=$(command -v python3.14t || true)
if [ -n "$free" ]; then
    pythons[3.14t]=$free
    venv free 3.14t
    quietly "the wheel without a GIL" "$work/free/bin/python" -m pip wheel --quiet --no-deps \
        --disable-pip-version-check --config-settings=build-args=--profile=dev --wheel-dir "$work/wheels" .
    install free "$work"/wheels/rampmeter-*-cp314t-*.whl $tests
    quietly "a module that needs no GIL" "$work/free/bin/python" -W error \
        -c 'import rampmeter, sys; assert not sys._is_gil_enabled()'
    quietly "the tests without a GIL" env PYTHON_GIL=0 "$work/free/bin/python" -m pytest -q \
        -p no:cacheprovider tests/python
    say "CPython $("$work/free/bin/python" -V | cut -d' ' -f2) without a GIL: $(tail -1 "$work/log")"
else
    say "python3.14t is not here: nothing is tested without a GIL"
fi

# Style and types, with no optional package.
install "$newest" ruff mypy
bin=$work/$newest/bin
quietly "ruff format" "$bin/ruff" format --no-cache --check python tests/python
quietly "ruff check" "$bin/ruff" check --no-cache python tests/python
quietly "mypy" "$bin/mypy" --cache-dir "$work/mypy"
# Where the working tree's sources cannot be mistaken for the installed ones.
quietly "stubtest" env -C "$work" "$bin/python" -m mypy.stubtest rampmeter
say "ruff, mypy --strict and stubtest find nothing"

# The integrations, with what they are for.
install "$newest" prometheus-client numpy starlette httpx
quietly "the tests of integrations" pytest "$newest" tests/python/test_prometheus.py \
    tests/python/test_starlette.py
! grep skipped "$work/log" || fail "a test of an integration was left out"
say "integrations with prometheus_client, starlette and httpx: $(tail -1 "$work/log")"

# What a registry would get, and what `pip install .` takes from a clean checkout: that both are
# whole. Unoptimised, which takes a minute and not five.
if ! git rev-parse --git-dir >"$work/log" 2>&1; then
    say "not a git checkout: source distribution and clean checkout not tried"
    exit 0
fi
clean=$(mktemp -d)
trap 'rm -rf "$clean"' EXIT
changed=$(git stash create)
git archive "${changed:-HEAD}" | tar -x -C "$clean"
export CARGO_TARGET_DIR=$work/cargo
install build "maturin>=1.16,<2"
quietly "maturin sdist" env -C "$clean" "$work/build/bin/maturin" sdist --out "$work/sdist"
for source in "$work"/sdist/rampmeter-*.tar.gz "$clean"; do
    venv source "$newest"
    install source --config-settings=build-args=--profile=dev "$source"
    quietly "$source" env -C "$work" "$work/source/bin/python" -c "$smoke"
done
say "source distribution and clean checkout install: rampmeter $(cat "$work/log")"

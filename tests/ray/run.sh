#!/usr/bin/env bash
# rampmeter in a real Ray, in a network of its own: without one Ray binds the machine's own address.
# Needs PyPI and util-linux; PROFILE=dev builds faster, and its times mean nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."

RAY='ray[serve]==2.60.0'
venv=$PWD/target/ray-venv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet "$RAY" 'maturin>=1.16,<2'
"$venv/bin/maturin" build --quiet --locked --profile "${PROFILE:-release}" --out "$work"
"$venv/bin/pip" install --quiet --force-reinstall --no-deps "$work"/rampmeter-*.whl

# A network namespace whose only interface is a loopback that is up.
alone=(unshare --net)
[ "$(id -u)" -eq 0 ] || alone+=(--map-root-user)
up='import fcntl, socket, struct
with socket.socket() as s: fcntl.ioctl(s, 0x8914, struct.pack("16sh22x", b"lo", 0x49))'

# No token in the home directory: nobody else is in that network.
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=disabled
for test in tests/ray/serving.py tests/ray/cluster.py; do
    echo "ray: $test" >&2
    "${alone[@]}" "$venv/bin/python" -c "$up
import os, sys
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])" "$test" >"$work/log" 2>&1 ||
        { tail -60 "$work/log" >&2; exit 1; }
    grep '^ray: ' "$work/log" >&2
done

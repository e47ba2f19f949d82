#!/usr/bin/env bash
# examples/triton in a real Triton server (of the wheel nvidia-pytriton, on the CPU): batches are as
# large as the budget allows, and larger without the strategy. Needs PyPI; PROFILE=dev builds faster.
set -euo pipefail
cd "$(dirname "$0")/../.."

WHEEL=nvidia-pytriton==0.7.0
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

PREFIX=$work/usr packaging/install.sh
gcc -shared -fPIC -std=gnu99 -Wall -Wextra -Wpedantic -Werror examples/triton/batching.c \
    $(PKG_CONFIG_PATH="$work/usr/lib/pkgconfig" pkg-config --cflags --libs rampmeter-static) \
    -o "$work/libbatching.so"
exported=$(nm -D --defined-only "$work/libbatching.so" | awk '{ print $3 }' | grep -v '^TRITONBACKEND_ModelBatch' || true)
[ -z "$exported" ] || { echo "triton: the plugin exports $exported" >&2; exit 1; }

python3 -m pip download --quiet --no-deps --dest "$work" "$WHEEL"
python3 -m zipfile -e "$work"/nvidia_pytriton-*.whl "$work/triton"
python3 -m pip install --quiet --target "$work/site" 'numpy<2'
python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
root=$work/triton/pytriton/tritonserver
cp "$root/python_backend_stubs/$python/triton_python_backend_stub" "$root/backends/python/"
chmod +x "$root/bin/tritonserver" "$root/backends/python/triton_python_backend_stub"

burst() { # whether with the strategy: the largest batch
    cp -r examples/triton/models "$work/models"
    if [ "$1" = with ]; then
        sed -i "s|@LIBRARY@|$work/libbatching.so|" "$work/models/echo/config.pbtxt"
    else
        sed -i /TRITON_BATCH_STRATEGY_PATH/d "$work/models/echo/config.pbtxt"
    fi
    local port
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    # The Python backend finds packages where the server was started.
    (cd "$work/site" && LD_LIBRARY_PATH=$work/triton/nvidia_pytriton.libs exec \
        "$root/bin/tritonserver" --model-repository "$work/models" \
        --backend-directory "$root/backends" --http-address 127.0.0.1 --http-port "$port" \
        --allow-grpc=false --allow-metrics=false >"$work/server.log" 2>&1) &
    server=$!
    python3 tests/triton/burst.py "http://127.0.0.1:$port/v2/models/echo" 64 >"$work/sizes" ||
        { tail -20 "$work/server.log" >&2; exit 1; }
    kill "$server"
    wait "$server" || true
    server=
    rm -rf "$work/models"
    echo "triton: batches $1 the strategy (size: how many): $(head -1 "$work/sizes")" >&2
    tail -1 "$work/sizes"
}

# 5 ms and 2 ms for each request: eight end within 21.5 ms, nine do not.
largest=$(burst with)
[ "$largest" -eq 8 ] || { echo "triton: the largest batch has $largest requests, expected 8" >&2; exit 1; }
largest=$(burst without)
[ "$largest" -gt 8 ] || { echo "triton: without the strategy no batch is larger: nothing was shown" >&2; exit 1; }

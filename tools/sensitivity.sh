#!/usr/bin/env bash
# What the packing experiment allocates when a constant of the default measure is another one: GPUs
# allocated when as much is asked for as there is, in %, for each public list and value.
#   tools/sensitivity.sh 10 HAZARD_DEVICE 0.01 0.1 1.0          NODES=, RAMPMETER_SHARED=
# For each value the sources are copied, the constant is changed there, and `rampmeter pack` is built
# and run: the core has no knob for what nobody should have to turn.
set -euo pipefail
cd "$(dirname "$0")/.."

seeds=${1:?SEEDS NAME VALUE...} name=${2:?SEEDS NAME VALUE...}
shift 2
lists=${RAMPMETER_SHARED:-../shared}/traces/openb
nodes=${NODES:-$lists/openb_node_list_gpu_node.csv}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/sensitivity
copy=$target/sources

printf '%s' "$name"
printf '\t%s' $(ls "$lists" | sed -n 's/^openb_pod_list_\(.*\)\.csv$/\1/p') mean
printf '\n'
for value in "$@"; do
    rm -rf "$copy" && mkdir -p "$copy"
    git ls-files -z | xargs -0 cp --parents -t "$copy"
    constant="^\(\(pub(super) \)\?const $name: [^=]* =\) .*;"
    file=$(grep -rl "$constant" "$copy/crates/core/src/place/stranding") ||
        { echo "there is no constant $name" >&2; exit 2; }
    sed -i "s/$constant/\1 $value;/" "$file"
    (cd "$copy" && CARGO_TARGET_DIR=$target "${CARGO:-cargo}" build --quiet --release --locked \
        --package rampmeter-cli)
    for list in "$lists"/openb_pod_list_*.csv; do
        "$target/release/rampmeter" pack --nodes "$nodes" --tasks "$list" --policy rampmeter \
            --seeds "$seeds"
    done | awk -v value="$value" '
        BEGIN { printf "%s", value }
        $1 == "rampmeter" && ++rows % 2 == 1 { printf "\t%s", $2; sum += $2; lists++ }
        END { printf "\t%.2f\n", sum / lists }'
done

#!/bin/sh
# On a CUDA machine, offline, at most six minutes: GASP and AZR side by side in bfloat16 on one model, and how the model plays.
# What sampling and steps cost stands in the runs' metrics.jsonl: seconds/*, speed/*, memory/gpu_peak_gib.
#
#     benchmarks/gpu.sh MODEL OUT [WHEELS]
#
# MODEL is a folder or a GGUF file of weights, OUT a folder for the results, WHEELS a folder of wheels that the machine lacks.
# Programs run in the strongest sandbox tier there is; where there is no Docker that is bubblewrap or Landlock.
set -eu

model=$1
out=$2
wheels=${3:-}
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
mkdir -p "$out"

if [ -n "$wheels" ]; then
    "$python" -m pip install --quiet --no-index --find-links "$wheels" gymnasium pettingzoo pydantic docker \
        tyro rich tensorboard filelock safetensors peft gguf accelerate
fi
export PYTHONPATH="$here" HF_HUB_OFFLINE=1

# Each part has its share of the six minutes; one that fails or runs out leaves the others.
part() {
    name=$1 limit=$2
    shift 2
    echo "== $name"
    timeout --signal=TERM --kill-after=20 "$limit" "$@" >"$out/$name.log" 2>&1 || echo "$name ended with $?"
    tail -n 12 "$out/$name.log"
}

"$python" - <<'PY' >"$out/machine.txt"
import torch, transformers
print(torch.__version__, transformers.__version__, torch.cuda.get_device_name(), torch.cuda.mem_get_info())
PY
for curriculum in gasp azr; do
    part "$curriculum" 120 "$python" -m learners.reinforcepp --recipe transformers --model "$model" --device cuda \
        --curriculum "$curriculum" --sandbox auto --episodes 32 --seconds 75 --updates 50 --runs "$out/runs" \
        --name "$curriculum" --track
done
part plays 90 "$python" -m benchmarks.llm_plays --policy transformers --model "$model" --device cuda --quick \
    --sandbox auto --json "$out/llm_plays.json"

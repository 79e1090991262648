"""`benchmarks.vllm_copy` against a server that stands in for vLLM; the real one is tried by ``benchmarks/vllm.sh``."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from benchmarks import tiny_qwen2, vllm_copy
from tests.learners.policies.test_vllm import StandIn, url


def test_what_is_written(tmp_path: Path) -> None:
    model = tiny_qwen2.build(tmp_path / "model")
    with StandIn(model) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        words = ["--model", str(model), "--server", url(server), "--json", str(tmp_path / "out.json")]
        assert (
            vllm_copy.main([*words, "--handovers", "2", "--samples", "2", "--tokens", "8", "--repeats", "1"])
            == 0
        )
        server.shutdown()
    found = json.loads((tmp_path / "out.json").read_text())
    assert len(found["handovers"]) == 3
    assert all(0 <= one["mean"] <= one["max"] < 1e-4 for one in found["handovers"])
    assert all(one["tokens"] >= 8 for one in found["handovers"])
    assert found["tokens_per_s"].keys() == {"vllm", "embedded"}
    assert str(tmp_path) not in json.dumps(found)

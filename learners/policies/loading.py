"""Language models from the Hugging Face libraries, from a name, a folder or a GGUF file."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch

DType = Literal["auto", "bfloat16", "float32"]
_GGUF = ".gguf"
#: Share by which two quantised copies of one matrix may differ.
_COPY = 0.15


def read(
    model: str | Path,
    device: str = "cpu",
    dtype: DType = "auto",
    trust_remote_code: bool = False,
    cache: Path | None = None,
) -> tuple[Any, Any]:
    """A causal language model, in evaluation mode, and its tokenizer.

    Args:
        model: a name at the Hugging Face hub, a folder with ``config.json``, or a GGUF file, which is dequantised.
        device: to put it on.
        dtype: of the weights; see `best_dtype` for ``auto``.
        trust_remote_code: let the repository's own Python code run in this process.
        cache: folder that keeps dequantised GGUF files, so that they load in seconds the next time.

    Raises:
        ValueError: there is no such model, or it is not a causal language model that can be read.
    """
    kind = best_dtype(device) if dtype == "auto" else {"bfloat16": torch.bfloat16}.get(dtype, torch.float32)
    source, gguf = _locate(str(model))
    kept = cache / _cache_name(gguf, kind) if cache is not None and gguf is not None else None
    if kept is not None and (kept / "config.json").is_file():
        source, gguf = str(kept), None
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    weights: dict[str, Any] = {"dtype": kind, "weights_only": True, **options}
    if gguf is not None:
        options["gguf_file"] = weights["gguf_file"] = gguf.name
        weights |= _dequantise()
    module, tokenizer = _from_pretrained(str(model), source, weights, options)
    if gguf is not None:
        tie(module)
        if kept is not None:
            _keep(module, tokenizer, kept)
    return module.to(torch.device(device)).eval(), tokenizer


def best_dtype(device: str) -> torch.dtype:
    """bfloat16 on a GPU, and on a processor that multiplies it (AVX512-BF16 or AMX); float32 elsewhere."""
    if torch.device(device).type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float32
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    fast = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return torch.bfloat16 if fast else torch.float32


@contextlib.contextmanager
def no_progress_bars() -> Iterator[None]:
    """The library's bars for reading and writing weights are off inside."""
    from transformers import utils

    bars: Any = utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def write(module: Any, tokenizer: Any, folder: Path) -> None:
    """Write weights (safetensors), configuration and tokenizer, for `read`."""
    with no_progress_bars():
        module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@torch.no_grad()
def tie(module: Any) -> bool:
    """Tie the head and the embedding again if they are two quantised copies of one matrix; True if they were.

    A GGUF file may hold both. The head is the one that is quantised less, and is kept.
    """
    inputs, head = module.get_input_embeddings(), module.get_output_embeddings()
    if head is None or inputs.weight is head.weight or inputs.weight.shape != head.weight.shape:
        return False
    rows = torch.linspace(0, len(head.weight) - 1, 1000).long()
    ours, theirs = head.weight[rows].float(), inputs.weight[rows].float()
    if (ours - theirs).norm() > _COPY * ours.norm():
        return False
    inputs.weight = head.weight
    module.config.tie_word_embeddings = True
    return True


def _locate(model: str) -> tuple[str, Path | None]:
    """What to give to the library: a name or a folder, and the GGUF file in it if it is one."""
    path = Path(model).expanduser()
    if path.is_dir():
        if (path / "config.json").is_file():
            return str(path), None
        files = sorted(path.glob(f"*{_GGUF}"))
        hint = f"; there is {files[0].name}: name that file" if files else ""
        raise ValueError(f"expected a model's folder to have a config.json, {model!r} has none{hint}")
    if path.is_file():
        with path.open("rb") as file:
            magic = file.read(4)
        if magic != b"GGUF":
            raise ValueError(
                f"expected a model to be a hub name, a folder or a GGUF file, got the file {model!r}, which is none; "
                "if it lies in a model's folder, name the folder"
            )
        return str(path.parent), path
    if path.suffix == _GGUF or path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise ValueError(f"expected a model to be a hub name, a folder or a GGUF file, there is no {model!r}")
    return model, None


def _from_pretrained(
    model: str, source: str, weights: dict[str, Any], options: dict[str, Any]
) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with no_progress_bars():
            tokenizer = AutoTokenizer.from_pretrained(source, **options)
            return AutoModelForCausalLM.from_pretrained(source, **weights), tokenizer
    except ModuleNotFoundError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        if not options["trust_remote_code"] and "trust_remote_code" in reason:
            raise ValueError(
                f"model {model!r} has Python code of its own, which would run in this process: read it, then allow it "
                "with trust_remote_code (--trust-remote-code)"
            ) from error
        raise ValueError(f"model {model!r} cannot be read: {type(error).__name__}: {reason:.300}") from error


def _dequantise() -> dict[str, Any]:
    """Options that ask for plain weights: the library keeps packed ones since 5.3, which cannot be trained."""
    for package in ("gguf", "accelerate"):
        importlib.import_module(package)
    try:
        from transformers import GgufConfig
    except ImportError:  # before that, it always dequantised
        return {}
    return {"quantization_config": GgufConfig(dequantize=True)}


def _cache_name(gguf: Path, dtype: torch.dtype) -> str:
    stat = gguf.stat()
    return f"{gguf.parent.name}-{gguf.stem}-{stat.st_size:x}-{int(stat.st_mtime):x}-{dtype}".replace(
        "torch.", ""
    )


def _keep(module: Any, tokenizer: Any, folder: Path) -> None:
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    write(module, tokenizer, draft)
    if not folder.exists():
        draft.rename(folder)

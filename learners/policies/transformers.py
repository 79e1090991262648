"""A language model of the Hugging Face libraries as a policy: ``--policy transformers --model NAME_OR_FOLDER_OR_GGUF``.

The model is in this process and can be trained. Completions are sampled by a loop of ours where the architecture is
known (`learners.policies.decoding`), by the library's ``generate`` elsewhere. On a GPU the same loop runs; it was not
measured there, nor was the library's continuous batching (``generate_batch``).
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import distributed

from gasp_env.policies import Completion, Sampling
from learners.policies import adapters, decoding, drawing, loading
from learners.policies.architectures import Network
from learners.policies.base import Scores
from learners.policies.chat import Chat
from learners.policies.scoring import score

_VERSION = "policy.json"
#: Name of a policy's adapter.
_ADAPTER = "default"


def load(
    model: str | Path,
    device: str = "cpu",
    threads: int | None = None,
    dtype: loading.DType = "auto",
    system: str | None = None,
    thinking: bool | None = None,
    rows: int | None = None,
    cache: Path | None = None,
    trust_remote_code: bool = False,
    lora: int | None = None,
    checkpointing: bool = False,
    shard: bool = False,
) -> TransformersPolicy:
    """A policy of a model.

    Args:
        model: a name at the Hugging Face hub, a folder, or a GGUF file, which is dequantised; or a folder with an
            adapter that a policy has saved, whose base has to be where it was.
        device: of the weights.
        threads: of torch in this process; by default as many as the process may use cores. On a machine that is busy
            otherwise, one is faster than several.
        dtype: of the weights. ``auto``: bfloat16 on a GPU and on processors that multiply it, float32 elsewhere.
        system: a system prompt; by default the template's own, if it has one.
        thinking: given to templates that can turn reasoning on or off.
        rows: completions that are decoded at once; by default 64, 256 on a GPU.
        cache: folder that keeps dequantised GGUF files; by default they are dequantised each time.
        trust_remote_code: let a repository's own Python code run in this process.
        lora: rank of a LoRA adapter that is trained in place of the model's weights; 0 trains these. By default what
            the folder was saved with, and 0 for other models.
        checkpointing: compute activations again in the backward pass rather than keeping them, which takes a third
            longer and much less memory.
        shard: spread weights that train, their gradients and moments over the processes of a run
            (`learners.policies.sharding`).

    Raises:
        ValueError: there is no such model or device, or it cannot be read; or it cannot be spread.
    """
    if lora is not None and lora < 0:
        raise ValueError(f"expected lora to be a rank of at least 1, or 0 for none, got {lora}")
    if rows is not None and rows < 1:
        raise ValueError(f"expected rows to be an integer of at least 1, got {rows}")
    if threads is not None and threads < 1:
        raise ValueError(f"expected threads to be an integer of at least 1, got {threads}")
    torch.set_num_threads(threads or loading.cores())
    folder = Path(model).expanduser()
    told = _told(folder)  # of a folder that `TransformersPolicy.save` wrote
    base = told.get("base") or model
    try:
        module, tokenizer = loading.read(base, device, dtype, trust_remote_code, cache)
    except ValueError as error:
        if base is model:
            raise
        raise ValueError(
            f"the adapter in {folder} was trained on {base!r} ({_VERSION} says so; edit it if that has moved): {error}"
        ) from error
    _without_dropout(module)
    if checkpointing:
        _checkpoint(module)
    rank = told.get("lora") or lora or 0
    if lora is not None and lora != rank:
        raise ValueError(f"expected lora to be the rank of the adapter in {model}, {rank}, got {lora}")
    if rank:
        adapters.add(module, rank, _ADAPTER)
    policy = TransformersPolicy(
        module, tokenizer, system, thinking, rows, _ADAPTER if rank else None, str(base)
    )
    if told:
        policy.version = int(told["version"])
        if rank and "base" in told:
            adapters.load(module, _ADAPTER, folder)
    if shard:
        if rank:
            raise ValueError(f"expected lora to be 0 with shard, which shares out all weights, got {rank}")
        if not distributed.is_initialized():
            raise ValueError(
                "expected shard in several processes of learners.reinforcepp, which torchrun starts"
            )
        from learners.policies.sharding import ShardedPolicy  # which is a policy of this module

        return ShardedPolicy(policy)
    return policy


class TransformersPolicy:
    """See `learners.policies.base.TrainablePolicy`.

    Attributes:
        module, tokenizer: of the ``transformers`` library.
        chat: the template around prompts.
        generator: random stream of `generate` where the sampling has no seed: one number of it seeds a call.
        rows: completions that are decoded at once.
        adapter: name of the LoRA adapter in the module that is this policy's; None if it trains the module's weights.
        base: where the module was read from.
    """

    def __init__(
        self,
        module: Any,
        tokenizer: Any,
        system: str | None = None,
        thinking: bool | None = None,
        rows: int | None = None,
        adapter: str | None = None,
        base: str = "",
    ) -> None:
        configured = getattr(module.generation_config, "eos_token_id", None)
        ends = configured if isinstance(configured, list) else [configured]
        self.chat = Chat(tokenizer, [end for end in ends if end is not None], system, thinking)
        self.module: Any = module
        self.tokenizer, self.version = tokenizer, 0
        self.generator = torch.Generator()
        self.rows = rows or (64 if self.device.type == "cpu" else 256)
        self.adapter, self.base = adapter, base
        # One for all policies on this module: it arranges the module's weights.
        self._networks: list[Network] = []

    def fork(self, name: str) -> TransformersPolicy:
        """A policy with a copy of the weights, which then goes its own way: an adapter on the same base, or a model.

        Args:
            name: of the adapter, other than those the module has.
        """
        twin = copy.copy(self)
        twin.generator = torch.Generator()
        if self.adapter is None:
            twin.module, twin._networks = copy.deepcopy(self.module), []
        else:
            adapters.copy(self.module, self.adapter, name)
            twin.adapter = name
        return twin

    def parameters(self) -> list[torch.nn.Parameter]:
        """See `TrainablePolicy.parameters`."""
        if self.adapter is None:
            return list(self.module.parameters())
        return list(adapters.weights(self.module, self.adapter).values())

    def activate(self) -> None:
        """Let the module compute with this policy's adapter, if it has one."""
        if self.adapter is not None:
            adapters.activate(self.module, self.adapter)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.module.parameters()).device

    def generate(
        self, prompts: Sequence[str], samples: Sequence[int], sampling: Sampling
    ) -> list[list[Completion]]:
        """See `gasp_env.policies.Policy`.

        A completion's draws depend on the seed, its prompt and its number among that prompt's samples, and not on
        what else is asked in the call, but for rounding: products of other shapes may differ in the last digit.
        The log-probabilities are those that `score` gives, to rounding: 1e-5 in float32; in bfloat16 0.01 on average
        and 0.23 at most over 727 tokens of Qwen2.5-Coder-0.5B, whose logits have steps of 0.1. At temperature 0 they
        are those at temperature 1; with ``top_p`` below 1 those of the distribution that is left.
        """
        seed = sampling.seed
        if seed is None:
            seed = int(torch.randint(2**62, (), generator=self.generator))
        rows = drawing.rows(seed, prompts, samples)
        choose = drawing.Draw(sampling.temperature, sampling.top_p)
        ids = [self.chat.prompt_ids(prompt) for prompt in prompts]
        self.complete(ids, rows, choose, sampling.max_tokens)
        drawn: list[list[Completion]] = [[] for _ in prompts]
        for row in rows:
            completion = Completion(
                text=self.chat.answer(row.ids),
                prompt_ids=ids[row.prompt],
                ids=tuple(row.ids),
                logprobs=tuple(row.logprobs),
                stop="stop" if row.ended else "length",
            )
            drawn[row.prompt].append(completion)
        return drawn

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        rows: Sequence[drawing.Row],
        choose: decoding.Choose,
        limit: int,
    ) -> None:
        """Fill rows with tokens: of the prompts' ids, by a rule of choosing, at most ``limit`` each, and no more than
        the model's context has room for.

        Raises:
            ValueError: a prompt fills the context by itself.
        """
        context = getattr(self.module.config.get_text_config(), "max_position_embeddings", None) or math.inf
        if rows and (longest := max(len(prompts[row.prompt]) for row in rows)) >= context:
            raise ValueError(
                f"expected prompts of fewer tokens than the model's context of {context}, got one of {longest}; "
                "use a model with a larger context"
            )
        limits = [int(min(limit, context - len(prompt))) for prompt in prompts]
        self.activate()
        network = self._decoder()
        if network is None:
            decoding.decode_generate(self.module, prompts, rows, choose, self.chat.ends, limits, self.rows)
        else:
            decoding.decode(network, prompts, rows, choose, self.chat.ends, limits, self.rows)

    def _decoder(self) -> Network | None:
        if not self._networks or not self._networks[0].current:
            made = decoding.network(self.module)
            self._networks[:] = [] if made is None else [made]
        return self._networks[0] if self._networks else None

    def score(
        self, groups: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]], temperature: float = 1.0
    ) -> Scores:
        """See `TrainablePolicy.score`."""
        self.activate()
        return score(self.module, groups, temperature)

    def save(self, directory: Path) -> None:
        """Write weights, configuration, tokenizer and version; `learners.policies.transformers.load` reads them.

        Of an adapter, the adapter alone is written, in the format of `peft`.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.activate()
        loading.write(self.module, self.tokenizer, directory)
        told: dict[str, Any] = {"version": self.version}
        if self.adapter is not None:
            base = Path(self.base)
            told["base"] = str(base.resolve()) if base.exists() else self.base
            told["lora"] = self.module.peft_config[self.adapter].r
        (directory / _VERSION).write_text(json.dumps(told) + "\n", encoding="utf-8")

    def load(self, directory: Path) -> None:
        """Replace the weights by those `save` wrote.

        Raises:
            ValueError: they belong to a model of another shape.
        """
        if self.adapter is not None:
            adapters.load(self.module, self.adapter, directory)
            self.version = int(_told(directory)["version"])
            return
        weights: dict[str, torch.Tensor] = {}
        for file in sorted(directory.glob("*.safetensors")):
            weights |= load_file(file)
        ours = self.module.state_dict()
        tied = {name for name in ours if name not in weights and self._is_tied(name)}
        expected = {name: ours[name].shape for name in ours if name not in tied}
        found = {name: tensor.shape for name, tensor in weights.items()}
        if expected != found:
            different = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
            raise ValueError(
                f"expected the weights of this policy's model in {directory}, found others: {', '.join(different[:3])}"
            )
        self.module.load_state_dict(weights, strict=False)
        self.version = int(_told(directory)["version"])

    def _is_tied(self, name: str) -> bool:
        head = self.module.get_output_embeddings()
        tied = head is not None and head.weight is self.module.get_input_embeddings().weight
        return tied and self.module.get_parameter(name) is head.weight


def _told(folder: Path) -> dict[str, Any]:
    """What `TransformersPolicy.save` wrote beside the weights; empty for another model's folder.

    Raises:
        ValueError: it cannot be read.
    """
    file = folder / _VERSION
    if not file.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found | {"version": int(found["version"])}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file}: expected what a policy's save wrote, got something else ({error!r})"
        ) from None


def _without_dropout(module: torch.nn.Module) -> None:
    """Turn dropout off in training: there is none in sampling, and the two have to be of one distribution."""
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
        if isinstance(getattr(part, "attention_dropout", None), float):
            part.attention_dropout = 0.0  # type: ignore[assignment]


def _checkpoint(module: Any) -> None:
    """Compute activations again in the backward pass."""
    enable = getattr(module, "activation_checkpointing_enable", None) or module.gradient_checkpointing_enable
    enable({"use_reentrant": False})

"""The plugin that verifiers finds by the name ``gasp_code``: see `gasp_env.adapters.verifiers`."""

from gasp_env.adapters.verifiers import ChatHarness, GaspEnv, GaspTaskset

__all__ = ["ChatHarness", "GaspEnv", "GaspTaskset"]

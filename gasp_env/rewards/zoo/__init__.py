"""The published teacher rewards, by family. Importing this package registers them."""

from gasp_env.rewards.zoo import azr, bands, chae, controls, gasp, gated, harder, listed, peaked, relative

__all__ = ["azr", "bands", "chae", "controls", "gasp", "gated", "harder", "listed", "peaked", "relative"]

"""The games: who is asked what, in which order."""

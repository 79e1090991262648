"""The views of the game, all thin over one driver: Gymnasium, batched, PettingZoo, one role alone."""

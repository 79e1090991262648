"""Does a model get through the game: what it answers at every stage, in situations that are always the same."""

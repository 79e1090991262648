"""What happened in an episode, written down, shown, and played again."""

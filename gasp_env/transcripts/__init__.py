"""Transcripts of episodes: written, shown, and replayed."""

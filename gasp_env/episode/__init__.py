"""One episode as a machine without I/O; it knows no game."""

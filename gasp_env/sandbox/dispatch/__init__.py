"""Gets runs executed by workers: queues, assignment, connections, canaries."""

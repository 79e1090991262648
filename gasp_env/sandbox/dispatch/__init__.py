"""Schedules runs on workers: a queue of batches, an assigner, connections to workers, a pool that replaces them."""

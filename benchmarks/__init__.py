"""One runnable module per question it answers, run from a clone; ``results/`` holds their output."""

"""Ways to make a forward or a backward cost less without changing what it computes."""

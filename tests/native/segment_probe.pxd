"""Python's view of the segments of CQL v5, of compressed bodies and of sums. Every input lies in memory of exactly its size."""

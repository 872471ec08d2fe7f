"""Python's view of headers of the PROXY protocol, each in memory of exactly its size."""

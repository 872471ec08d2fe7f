"""What _codec/cql finds, as Python values; each text and body in memory of exactly its size."""

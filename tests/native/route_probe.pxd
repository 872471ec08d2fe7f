"""What a sink before a cluster finds out of a statement, for tests and measurements."""

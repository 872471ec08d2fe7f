"""Partition keys of statements, as _codec/cql/keys finds them."""

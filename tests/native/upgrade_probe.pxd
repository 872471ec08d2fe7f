"""The writer of RESP3 replies (_codec/resp_upgrade) and what it goes by (_codec/resp_shape), one call at a time."""

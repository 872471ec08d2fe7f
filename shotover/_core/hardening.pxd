"""Cores, and rights that no program may gain: what the control plane asks of the system. Nothing here is for compiled code."""

"""Measures Shotover beside its peers: the load generator, the targets, the cases and the reports of `shotover-bench`.

Nothing of this package is imported by the serving process.
"""

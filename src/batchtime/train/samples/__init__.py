"""Workloads of one's own, to copy from: each module is one file with a function that returns a `Task`.

`regression` and `digits` are the smallest; `tabular`, `residual` and `characters` train as people do.
"""

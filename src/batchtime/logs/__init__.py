"""Logs and tables as people have them, read into tables of runs, timings and evaluations.

`read.read_logs` reads logs, `sheets.read_runs` and `sheets.read_timings` read tables. A format of logs is a module
with `NAME`, `matches`, `place` and `read` (`log.Format`), listed in `read.FORMATS`.
"""

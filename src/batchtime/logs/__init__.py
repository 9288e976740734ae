"""Logs and tables as people have them, read into tables of runs, timings and evaluations."""

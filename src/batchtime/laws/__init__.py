"""Formulas as frozen values: updates, time per update, training time, several learners; no data."""

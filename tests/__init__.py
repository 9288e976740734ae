"""The tests; `builders` holds what several of them start from."""

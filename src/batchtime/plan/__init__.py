"""Before and after: what a sweep will cost, which runs tell most, a pilot, the clock, and runs trained again."""

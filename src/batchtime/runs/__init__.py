"""What a run is, the named sweeps, and the data folder that keeps what came of them."""

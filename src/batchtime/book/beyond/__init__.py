"""What the law says of runs that others published: one curve, GPUs, energy, gradient noise, a fixed time."""

"""Everything that trains, with torch: data sets, models, workloads, the loop, sweeps, and what times them."""

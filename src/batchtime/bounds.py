"""What the bound certifies: constants in, updates out."""

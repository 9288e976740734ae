"""Problems that are solved exactly, what the bound certifies for them, and how far it is from what they need."""

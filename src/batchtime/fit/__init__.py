"""From tables to laws with their uncertainty, and from these to a batch size or a refusal."""

"""What one page of the book shows and no other."""

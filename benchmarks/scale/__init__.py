"""What featurising many trailers takes, and what breaks first: measured tables, then arithmetic."""

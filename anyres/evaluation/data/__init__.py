"""Data in: rows of files in the layouts of the field, and what they are made into."""

"""Pictures of the cases that we draw ourselves, the same on every machine: no data has to be fetched for them."""

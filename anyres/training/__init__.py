"""The trainer: conversations with pictures and clips in, a better checkpoint out."""

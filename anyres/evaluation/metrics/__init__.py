"""How right an answer is, and what a whole run scores: pure functions, each with the source of its arithmetic."""

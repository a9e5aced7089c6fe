"""Golden numbers of the original programs, and the checks that compare this program with them."""

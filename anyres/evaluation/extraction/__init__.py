"""What a raw answer says: pure functions from a reply to an `Extraction`, each naming the rule that fired."""

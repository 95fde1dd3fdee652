"""Which models together make the best prediction."""

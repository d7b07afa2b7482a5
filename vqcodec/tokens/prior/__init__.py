"""A prior: how likely codes are after those before them, learned from tokens, and speech that is drawn from it."""

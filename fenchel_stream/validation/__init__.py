"""Which rows can be learnt."""

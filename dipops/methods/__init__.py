"""How the parameters of a prior move."""

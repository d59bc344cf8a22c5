"""How an image is parametrised, and what an image costs."""

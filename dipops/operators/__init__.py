"""Maps from images to measurements, their adjoints and derivatives, and the algebra that combines them."""

"""How large images may be."""

# More than any vehicle's camera has: what is larger is damage, or an attack on the memory.
MAX_PIXELS = 1 << 26

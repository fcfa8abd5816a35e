"""Everything that prints: the console, progress, and results as text or JSON."""

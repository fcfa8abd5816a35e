"""A stand-in for a Colab machine, the page that shows its notebooks, and what runs on them."""

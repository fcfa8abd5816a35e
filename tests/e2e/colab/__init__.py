"""Tests of the stand-in Colab machine, and scenarios on it."""

"""The program behind scripts/rescue: run notebooks on a stand-in for today's Colab."""

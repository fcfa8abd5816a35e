"""What a person does with colabenv on a Colab machine, from the first line to the last, on the stand-in."""

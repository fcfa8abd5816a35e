"""Complete scenarios of a colabenv user, on the stand-in Colab machine."""

"""`init`: a profile from what people have already. Readers in `sources`; here guesses, text and the command."""

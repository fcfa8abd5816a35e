"""What `up` installs, from where, and with what: the real command line with a local index."""

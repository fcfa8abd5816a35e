"""What `up` installs, from where, and with what: the real command line against an index of the test's own."""

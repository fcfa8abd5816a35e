"""What may go wrong while `up` works, done for real."""

"""One verb a file: wires stages together, returns a result, prints nothing."""

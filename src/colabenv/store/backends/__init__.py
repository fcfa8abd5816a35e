"""The kinds of stores: a folder, a bucket, a web server."""

"""Where a store can be: a folder, a bucket, a web server. One interface for all."""

"""Sharing built environments between machines: layers and manifests in a folder or a bucket."""

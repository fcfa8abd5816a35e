"""Make src/colabenv/stack/table.toml from the package index. Run by scripts/refresh-stack-table."""

"""Make src/colabenv/frameworks/table.toml from the package index. Run by scripts/refresh-stack-table."""

"""What people have already: notebooks, requirements files, project files, environment files; read as data. Pure."""

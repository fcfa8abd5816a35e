"""Notebooks in JupyterLab and Notebook, in Chromium, on a Jupyter server of this machine."""

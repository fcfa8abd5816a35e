"""Environments: installed in stages, stamped last."""

"""Faults while `up` works, on a real machine: network, disk, signals, damaged files."""

"""A program that starts a registered kernel like Jupyter and runs a cell in it: `PYTHON -c CLIENT NAME CODE`."""

CLIENT = """
import sys
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name=sys.argv[1], startup_timeout=300)
try:
    reply = client.execute_interactive(sys.argv[2], timeout=600, store_history=False)
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
sys.exit(reply["content"]["status"] != "ok")
"""

"""A stand-in for NVIDIA's driver: TensorFlow finds a GPU on a machine without one, and looks for its CUDA libraries.

It implements the functions of the CUDA driver API (cuda.h) that are called before any CUDA library is opened. It cannot
run GPU code.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = r"""
#include <stddef.h>
#include <string.h>
int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int *version) { *version = 12020; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 0; return 0; }
int cuDeviceGetName(char *name, int length, int device) { strncpy(name, "Tesla T4", length); return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)16 << 30; return 0; }
int cuDeviceGetPCIBusId(char *id, int length, int device) { strncpy(id, "0000:00:04.0", length); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    switch (attribute) {
        case 75: *value = 7; break;  /* compute capability: major */
        case 76: *value = 5; break;  /* and minor */
        case 16: *value = 40; break; /* multiprocessors */
        case 10: *value = 32; break; /* warp size */
        default: *value = 1;
    }
    return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)1; return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { return 0; }
int cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) { return 0; }
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { *flags = 0; *active = 0; return 0; }
int cuCtxGetCurrent(void **context) { *context = (void *)1; return 0; }
int cuCtxSetCurrent(void *context) { return 0; }
int cuCtxGetDevice(int *device) { *device = 0; return 0; }
int cuMemGetInfo_v2(size_t *available, size_t *total) {
    *available = (size_t)15 << 30;
    *total = (size_t)16 << 30;
    return 0;
}
int cuGetErrorName(int error, const char **text) { *text = "error"; return 0; }
int cuGetErrorString(int error, const char **text) { *text = "error"; return 0; }
"""
#: Output of nvidia-smi with this driver for `--query-gpu=name,driver_version,compute_cap,memory.total`.
T4 = "Tesla T4, 535.104.05, 7.5, 15360"


def nvidia_smi(folder: Path, line: str = T4) -> None:
    """Write a stand-in for nvidia-smi that prints this line."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{line}'\n")
    program.chmod(0o755)


def driver(folder: Path) -> None:
    """Build libcuda.so.1 in a folder; skips the test if there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here, so there is no stand-in for the driver")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "driver.c").write_text(_SOURCE)
    command = [
        compiler,
        "-w",
        "-shared",
        "-fPIC",
        "-Wl,-soname,libcuda.so.1",
        "-o",
        "libcuda.so.1",
        "driver.c",
    ]
    subprocess.run(command, cwd=folder, check=True)

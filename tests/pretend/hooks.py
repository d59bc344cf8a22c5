"""What a build of PyTorch without CUDA needs before it is imported, to take a CUDA device for one that is there."""

import ctypes
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

library: ctypes.CDLL | None = None
missing: str | None = "no CUDA device here"
"""Why there is no pretend GPU, or None where there is one."""
_SOURCE = Path(__file__).with_name("hooks.cpp")


def load() -> None:
    """Load the hooks, unless they are not needed or cannot be loaded."""
    global missing
    missing = _load()


def _load() -> str | None:
    spec = importlib.util.find_spec("torch")
    torch = Path(spec.origin if spec and spec.origin else "").parent
    if not (torch / "lib" / "libtorch_cpu.so").exists() or (torch / "lib" / "libtorch_cuda.so").exists():
        return "no CUDA device here"
    if "torch" in sys.modules:
        return "no CUDA device here, nor a pretend one: torch was imported before tests/conftest.py"
    if not shutil.which("g++"):
        return "no CUDA device here, nor a pretend one: no g++"
    try:
        path = _built(torch)
    except subprocess.CalledProcessError as error:
        return f"no CUDA device here, nor a pretend one: {error.stderr.strip().splitlines()[0]}"
    for name in ("libc10.so", "libtorch_cpu.so"):
        ctypes.CDLL(str(torch / "lib" / name), mode=ctypes.RTLD_GLOBAL)
    global library
    library = ctypes.CDLL(str(path))
    library.pretend.argtypes = [ctypes.c_bool]
    library.share_state.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.share_state.restype = ctypes.c_bool
    return None


def _built(torch: Path) -> Path:
    """The compiled hooks, from an earlier run where there was one; another process may build them at the same moment."""
    version = (torch / "version.py").read_bytes()
    key = hashlib.sha256(_SOURCE.read_bytes() + version + str(torch).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"dipops-pretend-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    library = folder / f"{key}.so"
    if not library.exists():
        unfinished = folder / f"{key}-{os.getpid()}.so"
        flags = ["-std=c++20", "-shared", "-fPIC", f"-I{torch}/include", f"-L{torch}/lib"]
        command = ["g++", *flags, str(_SOURCE), "-lc10", "-ltorch_cpu", "-o", str(unfinished)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        unfinished.replace(library)
    return library

"""The house: imports go down only, importing is light, public names are whole."""

import ast
import subprocess
import sys
from pathlib import Path

import dipops

PACKAGE = Path(dipops.__file__).parent
LEVELS = {
    "errors": 0,
    "_tools": 1, "metrics": 1,
    "operators": 2,
    "problem": 4, "images": 4,
    "priors": 5, "stopping": 6,
    "methods": 6,
    "testing": 7, "solver": 7,
    "recipes": 8,
    "tune": 9, "classical": 9,
    "plot": 10,
    "comparison": 11,
    "paper": 12, "course": 12,
    "cli": 13,
    "__init__": 14, "__main__": 15,
}  # fmt: skip


def _imports() -> dict[str, set[str]]:
    """Module to the modules of the package that it imports, as dotted names without the package's own."""
    modules = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }
    found: dict[str, set[str]] = {}
    for name, path in modules.items():
        targets = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dipops":
                base = (node.module or "").partition(".")[2]
                for alias in node.names:
                    inner = f"{base}.{alias.name}".lstrip(".")
                    targets.add(inner if inner in modules else base or "__init__")
            if isinstance(node, ast.Import):
                targets |= {
                    alias.name.partition(".")[2] or "__init__" for alias in node.names if alias.name.startswith("dipops")
                }
        found[name] = targets
    return found


def test_every_module_has_a_level() -> None:
    assert {name.split(".")[0] for name in _imports()} == set(LEVELS)


def test_imports_go_down_only() -> None:
    for name, targets in _imports().items():
        for target in targets:
            room, other = name.split(".")[0], target.split(".")[0]
            assert LEVELS[other] <= LEVELS[room], f"{name} imports {target} from above"


def test_there_is_no_circle() -> None:
    graph = _imports()
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle: {' -> '.join((*path, name))}"
        if name not in done:
            for target in graph.get(name, ()):
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_import_loads_only_what_it_needs() -> None:
    code = "import sys, dipops; print(*[n for n in ('scipy', 'matplotlib', 'tqdm', 'typer', 'hypothesis') if n in sys.modules])"
    command = [sys.executable, "-c", f"import torch; import sys; before = set(sys.modules); {code}"]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    torchs = subprocess.run(
        [sys.executable, "-c", code.replace("dipops", "torch")], capture_output=True, text=True, check=True
    ).stdout.split()
    assert loaded <= set(torchs)


def test_public_names_exist_and_are_documented() -> None:
    for name in dipops.__all__:
        assert getattr(dipops, name).__doc__, name


def test_no_signature_takes_device_or_dtype_and_nothing_prints() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and path.parent.name != "cli":
                names = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
                assert not names & {"device", "dtype"}, f"{path.name}: {node.name}"
            if isinstance(node, ast.Call):
                assert getattr(node.func, "id", "") != "print", path.name

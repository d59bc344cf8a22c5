"""The house: imports go down only, importing is light, public names are whole."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import dipops

PACKAGE = Path(dipops.__file__).parent
FLOORS = {
    "errors": 0,
    "_tools": 1,
    "operators": 2, "metrics": 2,
    "noise": 3,
    "problem": 4, "images": 4, "masks": 4,
    "priors": 5, "stopping": 5,
    "methods": 6,
    "testing": 7, "solver": 7,
    "recipes": 8,
    "tune": 9, "classical": 9, "tiling": 9, "interop": 9,
    "plot": 10, "contestants": 10,
    "study": 11, "comparison": 11,
    "paper": 12, "course": 12, "lab": 12,
    "cli": 13,
    "__init__": 14, "__main__": 15,
}  # fmt: skip
Graph = dict[str, set[str]]


def imports(package: Path) -> Graph:
    """Module to the modules of the package that it imports, as dotted names without the package's own."""
    modules = {
        ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__"): path
        for path in package.rglob("*.py")
    }
    graph: Graph = {}
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
        graph[name] = targets
    return graph


def room(module: str) -> str:
    """The folder or top-level file that holds a module."""
    return module.split(".")[0]


def upward(graph: Graph) -> list[str]:
    """The imports between rooms that do not go down."""
    pairs = [(name, target) for name, targets in graph.items() for target in targets if room(name) != room(target)]
    return [f"{name} imports {target}" for name, target in pairs if FLOORS[room(target)] >= FLOORS[room(name)]]


def circle(graph: Graph) -> list[str]:
    """A chain of imports that comes back to its beginning, or nothing."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        for target in () if name in done else sorted(graph.get(name, ())):
            if chain := visit(target, [*path, name]):
                return chain
        done.add(name)
        return []

    return next((chain for name in graph if (chain := visit(name, []))), [])


def folders(graph: Graph) -> Graph:
    """The same imports between the folders of modules, at every depth."""
    between: Graph = {}
    for name, targets in graph.items():
        for target in targets:
            here, there = (module.split(".") for module in (name, target))
            shared = next((k for k, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), None)
            if shared is not None and len(here) > shared + 1 and len(there) > shared + 1:
                between.setdefault(".".join(here[: shared + 1]), set()).add(".".join(there[: shared + 1]))
    return between


def test_every_room_has_a_floor() -> None:
    assert {room(name) for name in imports(PACKAGE)} == set(FLOORS)
    assert len(set(FLOORS.values()) - {FLOORS["__init__"], FLOORS["__main__"]}) <= 14


def test_imports_go_down_only() -> None:
    assert not upward(imports(PACKAGE))


def test_there_is_no_circle_of_files_or_folders() -> None:
    graph = imports(PACKAGE)
    assert not circle(graph)
    assert not circle(folders(graph))


def test_an_upward_import_and_circles_are_found() -> None:
    assert upward({"priors.interface": {"solver.solve"}}) == ["priors.interface imports solver.solve"]
    assert upward({"priors.interface": {"stopping.oracle"}})
    assert circle({"a.x": {"b.y"}, "b.y": {"a.x"}}) == ["a.x", "b.y", "a.x"]
    separate_files = {
        "priors.a": {"priors.generators.b"},
        "priors.generators.c": {"priors.inputs.d"},
        "priors.inputs.e": {"priors.generators.b"},
    }
    assert not circle(separate_files)
    assert circle(folders(separate_files))


def test_import_loads_only_what_it_needs() -> None:
    code = "import sys, torch; torchs = set(sys.modules); import dipops; print(*set(sys.modules) - torchs)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "dipops" in loaded
    assert not {"scipy", "matplotlib", "tqdm", "typer", "hypothesis", "pylops", "deepinv"} & set(loaded)


def test_public_names_exist_and_are_documented() -> None:
    for name in dipops.__all__:
        assert getattr(dipops, name).__doc__, name


def test_no_exported_name_hides_a_module() -> None:
    for front in PACKAGE.rglob("__init__.py"):
        name = ".".join(("dipops", *front.parent.relative_to(PACKAGE).parts))
        files = {path.stem for path in front.parent.iterdir()} - {"__init__"}
        for exported in files & set(getattr(import_module(name), "__all__", ())):
            assert isinstance(getattr(import_module(name), exported), ModuleType), f"{name}.{exported}"


def test_no_signature_takes_device_or_dtype_and_nothing_prints() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and "cli" not in path.parts:
                names = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
                assert not names & {"device", "dtype"}, f"{path.name}: {node.name}"
            if isinstance(node, ast.Call):
                assert getattr(node.func, "id", "") != "print", path.name

"""The house's rules, read from the code itself: who imports whom, who owns what, sizes, names, speed."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

import rag

ROOT = Path(__file__).resolve().parent.parent

BASE = {
    "types",
    "errors",
    "settings",
    "text",
    "tokens",
    "folders",
    "show",
    "models",
    "probe",
    "graph",
    "encoders",
    "codes",
    "runtime",
    "protocols",
    "server",
    "facts",
    "liberties",
    "evidence",
    "logistic",
}
STAGES = {"load", "split", "encode", "index", "converse", "retrieve", "reader", "confidence", "reason"}
STAGES |= {"rerank", "several", "extract", "generate", "check", "cite"}
BUILD = {"build"}
PIPELINE = {"pipeline"}
FACES = {"asking", "cli", "doctor", "chat", "local"}
OWNERS = {
    "faiss": {"rag.index"},
    "bm25s": {"rag.index"},
    "tiktoken": {"rag.tokens"},
    "torch": {"rag.graph"},
    "sentence_transformers": {"rag.encode", "rag.encoders", "rag.graph"},
    "transformers": {"rag.encode"},
    "onnx": {"rag.runtime"},
    "onnxruntime": {"rag.reader", "rag.runtime"},
    "tokenizers": {"rag.encoders", "rag.reader", "rag.runtime"},
    "huggingface_hub": {"rag.models"},
    "Stemmer": {"rag.text"},
    "sentencex": {"rag.text"},
    "openai": {"rag.server"},
    "xllamacpp": {"rag.local"},
    "gradio": {"rag.chat"},
    "fastapi": {"rag.chat"},
    "uvicorn": {"rag.chat"},
    "filelock": {"rag.folders"},
    "platformdirs": {"rag.settings"},
}
HEAVY = set(OWNERS) - {"filelock", "platformdirs"} | {"numpy", "pandas", "scipy", "sklearn", "tqdm", "jsonschema"}
# A program speaks to its user; a library does not.
PROGRAMS = {"rag/cli.py", "rag/chat/serve.py", "app.py", "index/build.py"}
LONGEST = 300  # lines of a module


def sources() -> list[Path]:
    """The files of the library and of the programs."""
    found = [*(ROOT / "rag").rglob("*.py"), *(ROOT / "eval").rglob("*.py"), *(ROOT / "index").glob("*.py")]
    return sorted([*found, *ROOT.glob("*.py")])


@cache
def tree(path: Path) -> ast.Module:
    """A file to its syntax tree."""
    return ast.parse(path.read_text("utf-8"), str(path))


def name_of(path: Path) -> str:
    """A file to its module's name: `rag.chat.app`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(name: str) -> bool:
    """Whether a name is one of our modules or packages."""
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def type_checking(node: ast.AST) -> bool:
    """Whether a statement is `if TYPE_CHECKING`."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def statements(node: ast.AST, *, everywhere: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements in a tree; if not everywhere, those that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif everywhere or not (isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or type_checking(child)):
            yield from statements(child, everywhere=everywhere)


@cache
def imports(path: Path, *, everywhere: bool = True) -> frozenset[str]:
    """A file to the modules it imports; `from rag import index` is `rag.index`, `from rag import ask` is `rag:ask`."""
    found: set[str] = set()
    for statement in statements(tree(path), everywhere=everywhere):
        if isinstance(statement, ast.Import):
            found.update(alias.name for alias in statement.names)
            continue
        assert statement.level == 0, f"{path} has a relative import: write it out"
        for alias in statement.names:
            below = f"{statement.module}.{alias.name}"
            found.add(below if is_module(below) else f"{statement.module}:{alias.name}")
    return frozenset(found)


def part(module: str) -> str:
    """A module of ours to its part: `rag.chat.app:build` is `chat`."""
    return module.partition(":")[0].split(".")[1]


def own(found: frozenset[str]) -> frozenset[str]:
    """Imports to those of the library's parts (names of the package `rag` itself apart)."""
    return frozenset(module for module in found if re.match(r"rag\.", module))


PARTS = [path for path in sources() if path.is_relative_to(ROOT / "rag") and name_of(path) != "rag"]


def identify(path: object) -> str:
    """A file to what its test is called."""
    return str(path.relative_to(ROOT)) if isinstance(path, Path) else str(path)


def test_every_module_has_its_place() -> None:
    assert {part(name_of(path)) for path in PARTS} == BASE | STAGES | BUILD | PIPELINE | FACES


@pytest.mark.parametrize("path", PARTS, ids=identify)
def test_the_import_rule(path: Path) -> None:
    here = part(name_of(path))
    allowed = {
        **dict.fromkeys(BASE, BASE),
        **dict.fromkeys(STAGES, BASE),
        **dict.fromkeys(BUILD, BASE | STAGES),
        **dict.fromkeys(PIPELINE, BASE | STAGES | BUILD),
        **dict.fromkeys(FACES, BASE | STAGES | BUILD | PIPELINE | (FACES if here == "cli" else set())),
    }[here] | {here}
    assert {part(module) for module in own(imports(path))} - allowed == set()
    # from inside, every module is imported where it lives, not by the package's front door
    assert not {module for module in imports(path) if module == "rag" or module.startswith("rag:")}


OUTSIDE = [path for path in sources() if not path.is_relative_to(ROOT / "rag")]


@pytest.mark.parametrize("path", OUTSIDE, ids=identify)
def test_programs_use_the_public_names(path: Path) -> None:
    found = imports(path)
    public = {f"rag:{name}" for name in rag.__all__}
    named = {module for module in found if module == "rag" or module.startswith("rag:")}
    assert named - public == set()
    programs = {"app.py", "index/build.py"}
    allowed = {"rag.cli:main"} if path.relative_to(ROOT).as_posix() in programs else set()
    assert own(found) - allowed == set()


def test_there_are_no_cycles() -> None:
    graph: dict[str, set[str]] = {}
    for path in sources():
        reached = {module.partition(":")[0] for module in imports(path, everywhere=False)}
        graph[name_of(path)] = {module for module in reached if is_module(module)} - {name_of(path)}
    assert graph["rag.pipeline"] >= {"rag.build", "rag.encode", "rag.index", "rag.cite"}
    assert graph["rag"] == set()
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a cycle of imports: {error.args[1]}")


def test_names_are_imported_by_string_in_one_place() -> None:
    for path in sources():
        called = {ast.unparse(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)}
        ways = {"import_module", "importlib.import_module", "__import__", "exec", "eval"}
        assert called & ways == ({"import_module"} if name_of(path) == "rag" else set()), path


@pytest.mark.parametrize("library", OWNERS)
def test_one_owner_for_each_heavy_dependency(library: str) -> None:
    users = {
        ".".join(name_of(path).split(".")[:2])
        for path in sources()
        for module in imports(path)
        if module.partition(":")[0].split(".")[0] == library
    }
    assert users <= OWNERS[library]


def test_the_owners_use_what_they_own() -> None:
    for library in ("faiss", "bm25s", "tiktoken", "torch", "sentence_transformers", "onnxruntime", "tokenizers",
                    "Stemmer", "sentencex", "gradio"):  # fmt: skip
        pattern = re.compile(rf"^\s*(import|from) {library}\b", re.MULTILINE)
        assert any(pattern.search(path.read_text("utf-8")) for path in PARTS), library


# -- the public names --


def test_the_public_names_are_sorted_and_importable() -> None:
    assert list(rag.__all__) == sorted(set(rag.__all__))
    for name in rag.__all__:
        assert getattr(rag, name) is not None
    space: dict[str, object] = {}
    exec("from rag import *", space)
    assert set(space) - {"__builtins__"} == set(rag.__all__)
    assert set(rag.__all__) <= set(dir(rag))
    with pytest.raises(AttributeError, match="module 'rag' has no attribute 'nonsense'"):
        _ = rag.nonsense


def test_the_type_checker_sees_the_same_names() -> None:
    (block,) = (node for node in tree(ROOT / "rag" / "__init__.py").body if type_checking(node))
    seen = [alias.name for node in ast.walk(block) if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(seen) == list(rag.__all__)


def test_a_public_name_lives_where_it_is_imported_from() -> None:
    (block,) = (node for node in tree(ROOT / "rag" / "__init__.py").body if type_checking(node))
    for node in ast.walk(block):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert getattr(rag, alias.name).__module__ == node.module, alias.name


def test_the_version_is_the_projects() -> None:
    assert f'\nversion = "{rag.__version__}"\n' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_every_public_name_has_a_docstring() -> None:
    for name in rag.__all__:
        thing = getattr(rag, name)
        assert thing.__doc__, name
        assert not thing.__doc__.startswith(f"{name}("), f"{name} has only the docstring that dataclass makes"
        for attribute, value in vars(thing).items() if inspect.isclass(thing) else ():
            made = isinstance(value, property | classmethod | staticmethod) or inspect.isfunction(value)
            if made and not attribute.startswith("_"):
                assert value.__doc__, f"{name}.{attribute}"


@pytest.mark.parametrize("path", sources(), ids=identify)
def test_modules_and_what_they_offer_have_docstrings(path: Path) -> None:
    assert ast.get_docstring(tree(path))
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


# -- sizes and manners --


@pytest.mark.parametrize("path", sources(), ids=identify)
def test_no_module_is_too_long(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", PARTS, ids=identify)
def test_only_programs_print(path: Path) -> None:
    if path.relative_to(ROOT).as_posix() in PROGRAMS:
        return
    for node in ast.walk(tree(path)):
        assert not (isinstance(node, ast.Name) and node.id in {"print", "breakpoint", "input"}), ast.unparse(node)
        assert not (isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.stdout"), ast.unparse(node)


def test_nothing_is_pickled() -> None:
    for path in sources():
        used = {module.partition(":")[0].split(".")[0] for module in imports(path)}
        assert not used & {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}, path
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load":
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert given.get("allow_pickle") == "False", f"{path}:{node.lineno}"


# -- files --


def tracked() -> list[Path]:
    """The repository's files: those that git has, or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout, so what it holds cannot be told from what lies about")
    return sorted({ROOT / name for name in done.stdout.decode().split("\0") if name and (ROOT / name).is_file()})


def text_of(path: Path) -> str:
    """A file's text; of a binary file, none."""
    data = path.read_bytes()
    return "" if b"\0" in data else data.decode("utf-8")


def test_no_file_names_a_place_of_this_machine() -> None:
    places = [f"/{name}/" for name in ("work", "root", "home", "Users", "mnt", "media")]
    places += [str(place) for place in (ROOT, Path.home(), Path(sys.prefix)) if len(place.parts) > 2]
    patterns = [re.compile(rf"(?<![\w.~:/-]){re.escape(place)}(?![\w-]*\.py)") for place in places]
    patterns += [re.compile(r"\b[A-Z]:\\\w"), re.compile(r"(?<![\w/.])" + "shared" + "/"), re.compile("/tmp" + r"/\w")]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in tracked()
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if any(pattern.search(line) for pattern in patterns)
    ]
    assert found == []


def test_no_link_leads_out_of_the_repository() -> None:
    for path in tracked():
        assert not path.is_symlink(), path
        if path.suffix == ".md":
            for target in re.findall(r"\]\(([^)\s#]+)", text_of(path)):
                if not re.match(r"[a-z]+:", target):
                    place = (path.parent / target).resolve()
                    assert place.is_relative_to(ROOT), f"{path}: {target}"
                    assert place.exists(), f"{path}: {target}"


def test_text_files_end_in_a_newline_and_have_unix_lines() -> None:
    for path in tracked():
        text = text_of(path)
        assert "\r" not in text, path
        assert not text or text.endswith("\n") or path.is_relative_to(ROOT / "index" / "corpus"), path


# -- speed --


def seconds(code: str) -> float:
    """Python code to the time that a process of it takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    return time.perf_counter() - start


def test_importing_is_quick() -> None:
    more = [-seconds("pass") + seconds("import rag") for _ in range(5)]
    assert median(more) < 0.2


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys; before = set(sys.modules); import rag; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "rag" in loaded
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert [name for name in loaded if name.startswith("rag.")] == []


def test_the_light_names_need_nothing_heavy() -> None:
    code = (
        "import sys, rag; rag.Span, rag.Answer, rag.RagError, rag.Settings.from_environment({});"
        f"rag.make_document('é', id='x'); print(*sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"

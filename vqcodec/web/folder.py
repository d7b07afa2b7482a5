"""The page as a folder of static files: its own, the model's, those of onnxruntime-web, and .vqc files to play."""

import json
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from vqcodec.bitstream.open_vqc import open_vqc
from vqcodec.errors import ConfigError, ModelError, OutputError
from vqcodec.models import zoo
from vqcodec.models.onnx_codec import graph_path
from vqcodec.output import atomic_output, make_folder

RUNTIME_VERSION = "1.30.0"
"""The version of onnxruntime-web that is tested."""
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
_INSTALLED = Path("node_modules") / "onnxruntime-web" / "dist"


def write_page(
    folder: Path, files: Sequence[Path], *, model: str | Path = zoo.DEFAULT_MODEL, runtime: Path | None = None
) -> int:
    """Write the page to `folder`, new or empty, with .vqc `files` to play; returns its bytes.

    `runtime`: a folder with `RUNTIME_FILES`; None looks for what npm has installed in the working folder and in those
    above it. Raises ConfigError where they are missing or two files have one name, ModelError where the model has no
    graphs, OutputError, and BitstreamError for what is no .vqc.
    """
    runtime = _checked_runtime(runtime)
    weights = zoo.open_weights(model)
    graphs = {part: graph_path(weights.path, part) for part in ("encoder", "decoder")}
    for path in graphs.values():
        if not path.is_file():
            raise ModelError(f"{path}: no such graph; vqcodec export --onnx writes it from the weights")
    _check_files(files)
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder}: has files already; give a new or an empty folder")
    model_files = {"weights": weights.path, **graphs}
    copies = {f"runtime/{name}": runtime / name for name in RUNTIME_FILES}
    copies |= {f"model/{path.name}": path for path in model_files.values()}
    copies |= {f"files/{path.name}": path for path in files}
    names = {part: path.name for part, path in model_files.items()} | {"sha256": weights.sha256}
    texts = {f"module/{path.name}": path.read_text(encoding="utf-8") for path in _own("module")}
    texts |= {path.name: path.read_text(encoding="utf-8") for path in _own("page")}
    texts["index.html"] = _with_files(texts["index.html"], [path.name for path in files])
    texts["model/model.json"] = json.dumps(names)
    # The page itself comes last: a folder that has it has everything.
    for name in sorted(copies):
        with atomic_output(_made(folder / name)) as temporary:
            shutil.copyfile(copies[name], temporary)
    for name in sorted(texts, key=lambda name: name == "index.html"):
        with atomic_output(_made(folder / name)) as temporary:
            temporary.write_text(texts[name], encoding="utf-8")
    return sum((folder / name).stat().st_size for name in (*copies, *texts))


def _own(name: str) -> list[Path]:
    """The files of the package below vqcodec/web."""
    with resources.as_file(resources.files("vqcodec.web") / name) as folder:
        return sorted(path for path in folder.iterdir() if path.is_file())


def _checked_runtime(runtime: Path | None) -> Path:
    """The folder of onnxruntime-web. Raises ConfigError where there is none."""
    here = Path.cwd()
    tried = [runtime] if runtime is not None else [folder / _INSTALLED for folder in (here, *here.parents)]
    for folder in tried:
        if all((folder / name).is_file() for name in RUNTIME_FILES):
            return folder
    where = f"{tried[0]}" if runtime is not None else "node_modules here or above"
    remedy = f"run npm install onnxruntime-web@{RUNTIME_VERSION} here, or give its folder dist as --runtime"
    raise ConfigError(f"the page runs the model on onnxruntime-web, which is not in {where}; {remedy}")


def _check_files(files: Sequence[Path]) -> None:
    """Raise BitstreamError for what is no .vqc, ConfigError for two of one name."""
    names = [path.name for path in files]
    for path in files:
        with open_vqc(str(path)):
            pass
        if names.count(path.name) > 1:
            raise ConfigError(f"{path}: two files have this name; rename one")


def _with_files(page: str, names: Sequence[str]) -> str:
    """The page with the names of the files that it plays, as JSON that ends no script."""
    found = json.dumps(names).replace("<", "\\u003c")
    empty = '<script type="application/json" id="files">[]</script>'
    assert empty in page
    return page.replace(empty, empty.replace("[]", found))


def _made(path: Path) -> Path:
    make_folder(path.parent)
    return path

"""What mkdocs.yml hooks in: pages with the tree of the repository, and docstrings as Markdown.

Pages lie in the site where they lie here, and so does every file that they link to: one relative link serves both.
What does not exist is not there either, and the strict build names the link.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typing_extensions import override

_PAGES = ("*.md", "docs/**/*.md", "recipes/**/*.md", "vqcodec/models/bundled/*.md")
_DEFINITION = re.compile(r"^([a-z]\w*(?:, \w+)*): +", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#:\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put the pages of the repository and what they link to in place of what mkdocs found in docs/."""
    root = Path(config.config_file_path).parent
    for file in list(files):
        if file.abs_src_path is not None and Path(file.abs_src_path).is_relative_to(config.docs_dir):
            files.remove(file)
    pages = {path for pattern in _PAGES for path in root.glob(pattern)}
    for path in sorted(pages | {target for page in pages for target in _linked(page, root)}):
        uri = path.relative_to(root).as_posix()
        files.append(File(uri, str(root), config.site_dir, config.use_directory_urls))
    return files


def _linked(page: Path, root: Path) -> Iterator[Path]:
    """Files of the repository that a page links to."""
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve()
        if path.is_file() and path.is_relative_to(root):
            yield path


def on_page_markdown(markdown: str, **_: object) -> str:
    """Leave out the mark of blocks that no test runs, which is none of Markdown."""
    return markdown.replace("```python no-test\n", "```python\n")


class Definitions(griffe.Extension):
    """Makes lists of the lines of a docstring that say what an attribute or argument is, `name:   text`."""

    @override
    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object, once all of it is known."""
        if obj.docstring is not None:
            obj.docstring.value = _DEFINITION.sub(r"- `\1`: ", obj.docstring.value)

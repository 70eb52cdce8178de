"""Render the notebooks for the documentation site: docs/notebooks/*.md with their pictures.

    make demo && .venv/bin/python notebooks/render.py

Each notebook runs on `demo-run/`. A test compares the code of the rendered copies.
"""

from __future__ import annotations

import base64
import io
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

NOTEBOOKS = Path(__file__).resolve().parent
PAGES = NOTEBOOKS.parent / "docs" / "notebooks"


def render(notebook: NotebookNode, name: str) -> tuple[str, dict[str, bytes]]:
    """Give the Markdown of a notebook that was executed, and its pictures by file name."""
    parts, pictures = [], {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(re.sub(r"\((\w+)\.ipynb\)", r"(\1.md)", cell.source))
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/png" in data:
                picture = f"{name}-{cell.id}.png"
                pictures[picture] = shrink(base64.b64decode(data["image/png"]))
                parts.append(f"![{cell.id}]({picture})")
            elif "text/html" in data:
                parts.append(plain_table(data["text/html"]))
            else:
                parts.append(f"```text\n{data['text/plain'].rstrip()}\n```")
    return "\n\n".join(parts) + "\n", pictures


def shrink(png: bytes) -> bytes:
    """Reduce a picture to 256 colours: a third of the size."""
    content = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(content, "PNG", optimize=True)
    return content.getvalue()


def plain_table(html: str) -> str:
    """Leave only the table of what pandas shows, so that the site's style applies."""
    (table,) = re.findall(r"<table.*</table>", html, re.DOTALL)
    table = re.sub(r' (border|class|style)="[^"]*"', "", table)
    return re.sub(r"\n\s*", "\n", table)


def main() -> None:
    """Execute all notebooks and write their pages."""
    PAGES.mkdir(exist_ok=True)
    for old in PAGES.iterdir():
        old.unlink()
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        place = {"metadata": {"path": str(NOTEBOOKS)}}
        executed = NotebookClient(notebook, timeout=600, resources=place).execute()
        text, pictures = render(executed, path.stem)
        (PAGES / f"{path.stem}.md").write_text(text)
        for name, content in pictures.items():
            (PAGES / name).write_bytes(content)
        print(f"{path.name}: {len(pictures)} pictures", file=sys.stderr)


if __name__ == "__main__":
    main()

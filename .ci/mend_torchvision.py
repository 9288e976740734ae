"""Let `import torchvision` work beside a torch without GPUs: `make` runs this where it does not.

The package index's torchvision is built for GPUs. Beside a torch for the CPU its compiled operators cannot be loaded,
and it stops at two of them that it describes nevertheless. This declares them, at the end of the file that looks for
them; nothing that works without a compiled operator needs more.
"""

import importlib.util
import sys
from pathlib import Path

LINES = """

if not _HAS_OPS:  # added by batchtime's `make`: beside a torch for the CPU
    for _schema in (
        "torchvision::nms(Tensor boxes, Tensor scores, float threshold) -> Tensor",
        "torchvision::qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor",
    ):
        torch.library.define(*(_schema[: _schema.index("(")], _schema[_schema.index("(") :]))
"""


def main() -> None:
    """Add the lines, once."""
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        sys.exit("torchvision is not installed")
    path = Path(found.origin).with_name("extension.py")
    text = path.read_text(encoding="utf-8")
    if LINES not in text:
        path.write_text(text + LINES, encoding="utf-8")


if __name__ == "__main__":
    main()

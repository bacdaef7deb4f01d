"""The function demo.words."""

from pathlib import Path


def main(event):
    """Count the words of one file; the number is its output and its result."""
    words = len(Path(event["read"]["local"]).read_text(encoding="utf-8").split())
    (Path(event["write"]["local"]) / "words.txt").write_text(f"{words}\n", encoding="utf-8")
    return {"words": words}

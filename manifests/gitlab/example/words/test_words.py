"""Tests of demo.words: python -m unittest discover -s words"""

import tempfile
import unittest
from pathlib import Path

from words import main


class Words(unittest.TestCase):
    def test_words_are_counted(self):
        with tempfile.TemporaryDirectory() as name:
            source = Path(name, "in.txt")
            source.write_text("three small\nwords\n")
            event = {"read": {"local": str(source)}, "write": {"local": name}}
            assert main(event) == {"words": 3}
            assert Path(name, "words.txt").read_text() == "3\n"

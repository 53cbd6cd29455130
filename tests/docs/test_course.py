"""The course: snippets print what their page says, pages build, links lead somewhere, pictures can be drawn again."""

import doctest
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad

DOCS = Path(__file__).parents[2] / "docs"
CHAPTERS = sorted(DOCS.glob("[0-9]*.md"))


def test_there_are_ten_chapters_and_the_first_page_lists_them_in_order() -> None:
    assert len(CHAPTERS) == 10
    assert re.findall(r"^\d\d-\S+$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE) == [
        chapter.stem for chapter in CHAPTERS
    ]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=[chapter.stem for chapter in CHAPTERS])
def test_every_snippet_prints_what_the_page_says(chapter: Path) -> None:
    minigrad.manual_seed(0)
    result = doctest.testfile(str(chapter), module_relative=False)
    assert result.failed == 0
    assert result.attempted >= 4


@pytest.mark.parametrize("chapter", CHAPTERS, ids=[chapter.stem for chapter in CHAPTERS])
def test_every_chapter_ends_in_something_to_run_and_an_exercise_with_a_checked_answer(chapter: Path) -> None:
    text = chapter.read_text(encoding="utf-8")
    *_, run, exercise = re.split(r"^## ", text, flags=re.MULTILINE)
    assert run.startswith("Run it\n")
    assert exercise.startswith("Exercise\n")
    answer = exercise.split("<details><summary>Answer</summary>")[1]
    assert ">>> " in answer


@pytest.mark.parametrize("page", [*CHAPTERS, DOCS / "index.md"], ids=lambda page: page.stem)
def test_every_link_and_command_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#h][^)]*)\)", text):
        assert (DOCS / target).exists(), target
    for path in re.findall(r"\.venv/bin/python (?:-m pytest )?([a-z][\w./]*)", text):
        assert (DOCS.parent / path).exists(), path


def test_the_kernel_that_is_quoted_is_the_kernel() -> None:
    def bare(text: str) -> str:
        return re.sub(r"\s+", " ", re.sub(r"//.*", "", text)).strip()

    (quoted,) = re.findall(r"```cpp\n(.*?)```", (DOCS / "10-cuda.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = [bare(line) for line in quoted.splitlines()]
    kernel = bare((DOCS.parent / "kernels" / "cuda" / "im2col.cu").read_text(encoding="utf-8"))
    assert len(lines) == 8
    assert all(line in kernel for line in lines)


def test_the_code_of_a_snippet_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    text = (DOCS / "01-tape.md").read_text(encoding="utf-8")
    (tmp_path / "broken.md").write_text(text.replace("a.grad, b.grad, c.grad", "b.grad, a.grad, c.grad"), "utf-8")
    assert doctest.testfile(str(tmp_path / "broken.md"), module_relative=False, report=False, verbose=False).failed == 1


def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    pytest.importorskip("furo")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", str(DOCS), str(tmp_path)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    for chapter in CHAPTERS:
        assert (tmp_path / f"{chapter.stem}.html").stat().st_size > 5000


def test_the_picture_of_vanishing_gradients_is_what_its_script_draws(tmp_path: Path) -> None:
    runpy.run_path(str(DOCS / "pictures" / "vanishing.py"))["main"](tmp_path / "drawn.svg")
    drawn, kept = (
        [float(number) for path in re.findall(r'<path d="(M [^"]*)"', file.read_text("utf-8"))
         for number in re.findall(r"-?[\d.]+", path)]
        for file in (tmp_path / "drawn.svg", DOCS / "pictures" / "vanishing.svg")
    )  # fmt: skip
    assert drawn == pytest.approx(kept, abs=1)  # in points: other machines round otherwise

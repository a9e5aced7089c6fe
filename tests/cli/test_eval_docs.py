"""docs/evaluation.md, "your own benchmark in five minutes", done line by line."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from anyres.evaluation.data.own import METRICS, OwnSpec
from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
SECTION = GUIDE.split("## Your own benchmark in five minutes")[1].split("### ")[0]


def test_the_guide_does_what_it_says(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.search(r"\$ cp (.*) \.\n", SECTION)[1].split():  # type: ignore[index]
        shutil.copy(ROOT / "examples" / Path(name).name, tmp_path)
    for name, text in re.findall(r"\$ cat > (\S+) <<'END'\n(.*?)END\n", SECTION, re.DOTALL):
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert len((tmp_path / "lines.yaml").read_text(encoding="utf-8").splitlines()) == 5
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"\$ anyres (.*)\n", SECTION)
    assert [command.split()[1] for command in commands] == ["preflight", "run", "report"]
    for command in commands:
        found = run(*shlex.split(command))
        assert found.exit_code == 0, found.stderr
    told = json.loads((tmp_path / "outputs/run/report/scores.json").read_text(encoding="utf-8"))
    seeing, blind = told["benchmarks"][0]["entries"]
    assert (seeing["counts"]["asked"], seeing["counts"]["failed"]) == (3, 0)
    assert seeing["scorings"]["anls"]["figures"]["overall"]["value"] > 90
    assert blind["variant"] == "blind"
    assert "report/report.html" in SECTION
    assert (tmp_path / "outputs/run/report/report.html").is_file()


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", GUIDE)
    assert "evaluation-cases.md" in links
    assert [link for link in links if not (ROOT / "docs" / link).is_file()] == []


def test_every_key_and_metric_is_in_the_guide() -> None:
    keys = GUIDE.split("### Keys of the YAML")[1].split("## Benchmarks")[0]
    for name in (*OwnSpec.__dataclass_fields__, *METRICS):
        assert f"`{name}`" in keys, name

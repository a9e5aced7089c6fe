"""Scores by lmms-eval of made-up answers: `python make_scorers.py FOLDER | gzip -9n > scorers.json.gz`.

FOLDER is where `pip download --no-deps lmms-eval==0.7.3` was unpacked. The functions alone are taken from its files, so
that its dependencies are not needed; pandas and numpy are, and the packages anls 0.0.2 and Levenshtein that it uses.
"""

import __future__

import ast
import json
import math
import random
import re
import statistics
import string
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import anls.metrics
import numpy as np
import pandas as pd

CHOICE = random.Random(20261128)
WORDS = """the a an yes no not nothing answer is so thus final result could be therefore two ten none zero cats dog's
dont couldnt've it's somebody'd red 7 12 1,200 1,200.5 3.14 .5 5. 95% 0 2015 2,000 $14 1e3 -4 (A) (B) A B C USA x Paris,
well-known no. 3/4 [ok] {a} "quoted" what? stop! semi; under_score a+b x=5 @home `tick` a<b\\c over the"""
JOINTS = [" "] * 12 + ["\n", ". ", ", ", "\t", "  ", ": ", " = "]


class Log:
    """Instead of loguru's."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def functions(path: Path, **known: Any) -> dict[str, Any]:
    """What a file defines; statements that need what is not installed are left out."""
    found: dict[str, Any] = {"re": re, "math": math, "np": np, "pd": pd, "rd": random, "random": random}
    found |= {"string": string, "statistics": statistics, "defaultdict": defaultdict, "eval_logger": Log(), **known}
    for node in ast.parse(path.read_text("utf-8")).body:
        simple = isinstance(node, ast.Assign) and isinstance(node.value, (ast.Dict, ast.Constant, ast.List))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) or simple:
            if not isinstance(node, ast.Assign):
                node.decorator_list = []
            exec(compile(ast.Module([node], []), str(path), "exec", __future__.annotations.compiler_flag), found)
    return found


def text(most: int = 9) -> str:
    words = CHOICE.choices(WORDS.split(), k=CHOICE.randint(0, most))
    return "".join(word + CHOICE.choice(JOINTS) for word in words)[:-1]


def near(gold: str) -> str:
    """The gold with something else about it, or another text."""
    changes = (gold, gold.upper(), f" {gold} ", gold + ".", gold[1:], gold + "s", f"the {gold}", text(4))
    return CHOICE.choice(changes)


def number(base: float) -> str:
    value = base * CHOICE.choice([1, 1, 0.94, 0.951, 1.049, 1.06])
    return CHOICE.choice(["{}", "{}%", "${}", "{}.", " {}", "{:.2f}", "{} %", "yes", "Yes", "Yes."]).format(value)


def vqa(folder: Path) -> dict[str, Any]:
    processor = functions(folder / "tasks/_task_utils/vqa_eval_metric.py")["EvalAIAnswerProcessor"]()

    def plain(words: str) -> str:
        """Without its first step, which the original VQA script has not."""
        line = words.replace("\n", " ").replace("\t", " ").strip()
        return str(processor.process_digit_article(processor.process_punctuation(line)))

    def accuracy(answer: str, golds: list[str]) -> float:
        said, others = plain(answer), [plain(gold) for gold in golds]
        shares = [min(1, sum(one == said for at, one in enumerate(others) if at != left) / 3) for left in range(10)]
        return statistics.mean(shares)

    texts = [text() for _ in range(600)] + sorted(processor.CONTRACTIONS)
    tens = []
    for _ in range(200):
        gold, other = text(3), text(3)
        tens.append((near(gold), [CHOICE.choice((gold, gold, near(gold), other)) for _ in range(10)]))
    return {
        "plain": [[one, plain(one)] for one in texts],
        "accuracy": [[answer, golds, accuracy(answer, golds)] for answer, golds in tens],
    }


def anls_scores(folder: Path) -> list[Any]:
    known = functions(folder / "api/metrics.py")
    made = []
    for _ in range(400):
        golds = [text(5) for _ in range(CHOICE.randint(1, 3))]
        answer = near(CHOICE.choice(golds))
        theirs = known["anls"](golds, [answer])["anls"]
        package = anls.metrics.anls_score(prediction=answer, gold_labels=golds, threshold=0.5)
        made.append([answer, golds, theirs, package])
    return made


def relaxed(folder: Path) -> list[Any]:
    score = functions(folder / "tasks/chartqa/utils.py")["relaxed_correctness"]
    bases = CHOICE.choices([0, 1, 14, 95, 100, 1000, 2000, 2015, 0.5, 3.25], k=500)
    pairs = [(number(base), number(base)) for base in bases]
    return [[answer, gold, score(answer, gold)] for answer, gold in pairs]


def mmmu(folder: Path) -> list[Any]:
    known = functions(folder / "tasks/mmmu/utils.py")
    made = []
    for _ in range(500):
        answer = text(12)
        said = known["parse_open_response"](answer)
        gold = CHOICE.choice([text(2), "12", "1200", "3.14", "x", "Paris", ["7", "red"], str(CHOICE.choice(said))])
        made.append([answer, sorted(said, key=repr), gold, known["eval_open"](gold, said)])
    return made


def mme(folder: Path) -> dict[str, Any]:
    known = functions(folder / "tasks/mme/utils.py")
    heads = ["Yes", "yes, it is", "No", "No, it", "Not at all", "It is", "Nope", "I say yes", "A no", "ye s", "Eyes"]
    answers = [f"{CHOICE.choice(heads)} {text(4)}" for _ in range(200)]
    runs = []
    for _ in range(10):
        results = []
        for category in CHOICE.sample(known["eval_type_dict"]["Perception"], 4):
            for picture in range(CHOICE.randint(1, 9)):
                pair = [CHOICE.choice([0.0, 1.0, 1.0]) for _ in range(2)]
                results += [{"question_id": picture, "category": category, "score": score} for score in pair]
        runs.append([results, known["mme_aggregate_results"](results)])
    return {"parsed": [[answer, known["parse_pred_ans"](answer)] for answer in answers], "runs": runs}


def hallusion(folder: Path) -> list[Any]:
    known = functions(folder / "tasks/hallusion_bench/utils.py")
    runs = []
    for _ in range(10):
        data = [
            {
                "category": kind,
                "subcategory": part,
                "set_id": str(one),
                "figure_id": str(figure),
                "question_id": str(question),
            }
            for kind, part in (("VD", "figure"), ("VS", "chart"), ("VS", "map"))
            for one in range(CHOICE.randint(1, 4))
            for figure in range(CHOICE.randint(1, 3))
            for question in range(CHOICE.randint(1, 3))
        ]
        for item in data:
            item |= {"check": CHOICE.choice(["0", "1", "1", "1", "1", "2"]), "visual_input": "1"}
        known["assign_correctness"](data, "check")
        every = known["get_eval_all"](data, "check")
        figure, pair = known["get_eval_fig"](data), known["get_eval_pair_all"](data, "check")
        shares = [100 * one["correct"] / one["total"] for one in (every, figure, pair)]
        runs.append([data, shares])
    return runs


def containment(folder: Path) -> dict[str, Any]:
    ocr = functions(folder / "tasks/ocrbench/utils.py")["ocrbench_process_results"]
    mtvqa = functions(folder / "tasks/mtvqa/utils.py")["mtvqa_process_results"]
    made: dict[str, Any] = {"ocrbench": [], "mtvqa": []}
    for _ in range(300):
        golds = [text(3) or "7" for _ in range(CHOICE.randint(1, 2))]
        answer = CHOICE.choice(["It says {}", "{}", "{}!", "no {} here"]).format(near(golds[0]))
        source = CHOICE.choice(["HME100k", "IIIT5K"])
        gold = golds if len(golds) > 1 else golds[0]
        doc = {"answer": gold, "dataset": source, "question_type": ""}
        made["ocrbench"].append([answer, golds, source, ocr(doc, [answer])["ocrbench_accuracy"]["score"]])
        found = mtvqa({"answer": golds[0], "category": ""}, [answer])["mtvqa_score"]["score"]
        made["mtvqa"].append([answer, golds[0], found])
    return made


def circular(folder: Path) -> list[Any]:
    path = folder / "tasks/mmbench/mmbench_evals.py"
    scorer = functions(path, os=__import__("os"), requests=None, time=None)["MMBench_Evaluator"]()
    runs = []
    for _ in range(6):
        rows = []
        for group in range(CHOICE.randint(5, 15)):
            options, easy = CHOICE.choice([2, 3, 4]), CHOICE.random() < 0.6
            for turn in range(options):
                letter = "ABCD"[CHOICE.randrange(options)]
                said = letter if easy or CHOICE.random() < 0.7 else "ABCD"[CHOICE.randrange(options)]
                held = {name: f"option {name}" if at < options else None for at, name in enumerate("ABCD")}
                place = {"category": f"c{group % 3}", "l2-category": f"l{group % 2}", "question": "?", "split": "dev"}
                rows.append({"index": group + turn * 10**6, "answer": letter, "prediction": said, **held, **place})
        runs.append([rows, scorer.eval_result(rows, "static")])
    return runs


def main() -> None:
    folder = Path(sys.argv[1])
    out, sys.stdout = sys.stdout, sys.stderr  # scorers print
    made = {
        "anls": anls_scores(folder),
        "circular": circular(folder),
        "containment": containment(folder),
        "hallusion": hallusion(folder),
        "mme": mme(folder),
        "mmmu": mmmu(folder),
        "relaxed": relaxed(folder),
        "vqa": vqa(folder),
    }
    json.dump(made, out, ensure_ascii=False, separators=(",", ":"))


main()

"""The benchmarks, one short file each, and what they are called."""

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from anyres.errors import OptionError
from anyres.evaluation.benchmark import Benchmark
from anyres.evaluation.benchmarks.ai2d import AI2D
from anyres.evaluation.benchmarks.aitz import AITZ
from anyres.evaluation.benchmarks.case_balance_sheet import CASE_BALANCE_SHEET
from anyres.evaluation.benchmarks.case_invoice import CASE_INVOICE
from anyres.evaluation.benchmarks.case_leaderboard import CASE_LEADERBOARD
from anyres.evaluation.benchmarks.case_worksheet import CASE_WORKSHEET
from anyres.evaluation.benchmarks.chartqa import CHARTQA
from anyres.evaluation.benchmarks.docvqa import DOCVQA, INFOVQA
from anyres.evaluation.benchmarks.egoschema import EGOSCHEMA
from anyres.evaluation.benchmarks.function_calling import FUNCTION_CALLING
from anyres.evaluation.benchmarks.hallusionbench import HALLUSIONBENCH
from anyres.evaluation.benchmarks.mathvision import MATHVISION
from anyres.evaluation.benchmarks.mathvista import MATHVISTA
from anyres.evaluation.benchmarks.mmbench import CCBENCH, MMBENCH_CN, MMBENCH_CN_V11, MMBENCH_EN, MMBENCH_V11
from anyres.evaluation.benchmarks.mme import MME
from anyres.evaluation.benchmarks.mmmu import MMMU
from anyres.evaluation.benchmarks.mmmu_pro import MMMU_PRO
from anyres.evaluation.benchmarks.mmstar import MMSTAR
from anyres.evaluation.benchmarks.mmt_bench import MMT_BENCH
from anyres.evaluation.benchmarks.mmvet import MMVET
from anyres.evaluation.benchmarks.mtvqa import MTVQA
from anyres.evaluation.benchmarks.mvbench import MVBENCH
from anyres.evaluation.benchmarks.ocrbench import OCRBENCH
from anyres.evaluation.benchmarks.perceptiontest import PERCEPTION_TEST
from anyres.evaluation.benchmarks.pubtabnet import PUBTABNET
from anyres.evaluation.benchmarks.realworldqa import REALWORLDQA
from anyres.evaluation.benchmarks.refcoco import REFCOCO
from anyres.evaluation.benchmarks.screenspot import SCREENSPOT
from anyres.evaluation.benchmarks.textvqa import TEXTVQA
from anyres.evaluation.benchmarks.tiny_card import TINY_CARD
from anyres.evaluation.benchmarks.videomme import VIDEO_MME, VIDEO_MME_SUBTITLES

__all__ = ["BENCHMARKS", "benchmark_of"]

BENCHMARKS: Mapping[str, Benchmark] = MappingProxyType(
    {
        "AI2D": AI2D,
        "AITZ": AITZ,
        "Case_BalanceSheet": CASE_BALANCE_SHEET,
        "Case_Invoice": CASE_INVOICE,
        "Case_Leaderboard": CASE_LEADERBOARD,
        "Case_Worksheet": CASE_WORKSHEET,
        "CCBench": CCBENCH,
        "ChartQA": CHARTQA,
        "DocVQA": DOCVQA,
        "EgoSchema": EGOSCHEMA,
        "FunctionCalling": FUNCTION_CALLING,
        "HallusionBench": HALLUSIONBENCH,
        "InfoVQA": INFOVQA,
        "MathVision": MATHVISION,
        "MathVista": MATHVISTA,
        "MMBench_CN": MMBENCH_CN,
        "MMBench_CN_V11": MMBENCH_CN_V11,
        "MMBench_EN": MMBENCH_EN,
        "MMBench_V11": MMBENCH_V11,
        "MME": MME,
        "MMMU": MMMU,
        "MMMU-Pro": MMMU_PRO,
        "MMStar": MMSTAR,
        "MMT-Bench": MMT_BENCH,
        "MMVet": MMVET,
        "MTVQA": MTVQA,
        "MVBench": MVBENCH,
        "OCRBench": OCRBENCH,
        "PerceptionTest": PERCEPTION_TEST,
        "PubTabNet": PUBTABNET,
        "RealWorldQA": REALWORLDQA,
        "RefCOCO": REFCOCO,
        "ScreenSpot": SCREENSPOT,
        "TextVQA": TEXTVQA,
        "TinyCard": TINY_CARD,
        "Video-MME": VIDEO_MME,
        "Video-MME_subs": VIDEO_MME_SUBTITLES,
    }
)


def benchmark_of(name: str) -> Benchmark:
    """The benchmark of a name or an alias, in any case; OptionError with near names where there is none.

    >>> benchmark_of("mme").name
    'MME'
    """
    named = {called.casefold(): one for one in BENCHMARKS.values() for called in (one.name, *one.aliases)}
    if name.casefold() in named:
        return named[name.casefold()]
    near = difflib.get_close_matches(name.casefold(), named, n=3)
    allowed = " or ".join(dict.fromkeys(named[one].name for one in near)) or ", ".join(BENCHMARKS)
    raise OptionError("benchmark", repr(name), allowed)

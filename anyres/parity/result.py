"""What one check found."""

from dataclasses import dataclass

__all__ = ["CheckResult", "compared"]


@dataclass(frozen=True)
class CheckResult:
    """`against` names the program that made the golden numbers, or the other way of computing the same.

    `worst` is the largest difference over all cases and `allowed` what it may be, in `unit`; `differing` counts cases
    beyond it, of which `detail` tells the first. A check without golden numbers for this checkpoint has no cases.
    """

    check: str
    against: str
    cases: int
    differing: int = 0
    worst: float = 0.0
    allowed: float = 0.0
    unit: str = ""
    detail: str = ""

    @property
    def verdict(self) -> str:
        """ "equal", "DIFFERS" or "no golden"."""
        if self.cases == 0:
            return "no golden"
        return "DIFFERS" if self.differing else "equal"


def compared(
    check: str, against: str, differences: dict[str, float], *, allowed: float = 0.0, unit: str = ""
) -> CheckResult:
    """A result from the difference of each case, by the case's name. NaN counts as a difference.

    >>> compared("sizes", "an oracle", {"28x28": 0, "30x30": 28}, unit="px").detail
    '30x30'
    """
    beyond = [name for name, difference in differences.items() if not difference <= allowed]
    worst = max(differences.values(), default=0.0, key=lambda difference: (difference != difference, difference))
    return CheckResult(
        check, against, len(differences), len(beyond), float(worst), allowed, unit, beyond[0] if beyond else ""
    )

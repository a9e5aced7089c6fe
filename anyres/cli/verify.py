"""`anyres verify`: placeholder until the checks are in."""

from anyres.cli.options import Model

__all__ = ["verify"]


def verify(model: Model = None) -> None:
    """Compares this program with golden numbers of the original ones."""
    del model

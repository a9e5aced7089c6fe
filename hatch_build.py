"""Compiles the native kernels when a wheel or an editable install is made; without a compiler the install goes on."""

import runpy
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LOST = "anyres: native kernels left out: {}. Everything runs on torch; quantised models are several times slower."


class KernelsHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        if self.target_name != "wheel":
            return
        kernels = runpy.run_path(str(Path(self.root) / "anyres" / "kernels" / "build.py"))
        try:
            lost = kernels["build"]()
        except kernels["BuildError"] as error:
            self.app.display_warning(LOST.format(error))
            return
        for reason in lost:
            self.app.display_warning(f"anyres: instruction set left out: {reason}")
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["artifacts"].append(f"/anyres/kernels/{kernels['LIBRARY'].name}")

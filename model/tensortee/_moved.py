# SPDX-License-Identifier: Apache-2.0
"""Former paths of modules that the documentation showed before the package had folders: they still work, and warn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

MOVED = {
    "tensortee.keys": "tensortee.checkpoint.keys",
    "tensortee.registers": "tensortee.engine.registers",
    "tensortee.study.config": "tensortee.study.sweep.config",
    "tensortee.study.energy": "tensortee.study.system.energy",
    "tensortee.study.inference": "tensortee.study.system.inference",
    "tensortee.study.on_chip": "tensortee.study.system.on_chip",
    "tensortee.study.run": "tensortee.study.sweep.run",
    "tensortee.study.step": "tensortee.study.system.step",
    "tensortee.study.transfer": "tensortee.study.system.transfer",
}


class FormerPaths(MetaPathFinder, Loader):
    """Gives the module at its present path to who imports a former one."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a module is, if it has moved."""
        return spec_from_loader(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module at its present path; there is one copy of it under both names."""
        present = MOVED[spec.name]
        warnings.warn(f"{spec.name} is now {present}", DeprecationWarning, stacklevel=2)
        module = import_module(present)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to execute; the import system put the former path into the module, so put it right."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state

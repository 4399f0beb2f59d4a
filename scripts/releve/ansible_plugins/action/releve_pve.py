"""Action plugin releve_pve: bring PVE's objects to what is wanted, with a true check mode.

It runs on the controller and is the same engine as `releve drift`. The password comes from the
variable pve_api_password, so that the task has no secret among its arguments and may show its
differences.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from releve.errors import ReleveError
from releve.pve.client import PORT, ROOT, Address, Pve
from releve.pve.keeper import Keeper
from releve.pve.live import apply, read
from releve.pve.reconcile import Step, checked, plan, refuse_unsafe, render

ARGUMENTS = {
    "objects": {"type": "dict", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": PORT},
    "user": {"type": "str", "default": ROOT},
    "ca_file": {"type": "path"},
    "token_folder": {"type": "path", "required": True},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible has no types
    """Plans, and applies outside of check mode."""

    _supports_check_mode = True
    _supports_diff = True
    TRANSFERS_FILES = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return changed, the steps for people, and their differences."""
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        _, arguments = self.validate_argument_spec(ARGUMENTS)
        try:
            steps = self._reconcile(arguments, variables)
        except ReleveError as error:
            return result | {"failed": True, "msg": str(error)}
        return result | {
            "changed": bool(steps),
            "steps": render(steps).splitlines(),
            "diff": [_difference(step) for step in steps],
        }

    def _reconcile(self, arguments: dict[str, Any], variables: dict[str, Any]) -> list[Step]:
        name = str(variables["inventory_hostname"])
        ca_file = Path(arguments["ca_file"]) if arguments["ca_file"] else None
        address = Address(name, arguments["address"], ca_file, arguments["port"])
        password = self._templar.template(variables.get("pve_api_password", ""))
        pve = Pve.with_password(address, str(password), arguments["user"])
        secrets = Keeper(address, Path(arguments["token_folder"]))
        to_be = checked(arguments["objects"])
        steps = plan(read(pve, secrets, to_be), to_be)
        refuse_unsafe(steps)
        if not self._task.check_mode:
            for step in steps:
                apply(pve, secrets, step)
        return steps


def _difference(step: Step) -> dict[str, str]:
    before = "".join(f"{one.field}: {one.before}\n" for one in step.changes if one.before)
    after = "".join(f"{one.field}: {one.after}\n" for one in step.changes if one.after)
    return {
        "before": before or (f"{step.title}\n" if step.action == "delete" else ""),
        "after": after,
        "before_header": step.title,
        "after_header": step.title,
    }

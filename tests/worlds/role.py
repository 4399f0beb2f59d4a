"""What a role would write to a host, from its own tasks and templates, without a host.

The files of a world's hosts come from here, so that a world can never run a configuration that the
role no longer writes. Ansible's own templating does it; of the tasks, those are done that compute,
refuse or write a file, and all others are left out.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

from releve.errors import RefusedError

ROLES = Path(__file__).parents[2] / "roles"
TURN = threading.Lock()  # many worlds are made at once, by Ansible's one loader of plugins
# As action plugin `template` does it.
TEMPLATE = {"trim_blocks": True, "lstrip_blocks": False}
PACKED: dict[str, str] = {}
# Parts of a role that look at a host which has all its files.
LOOKING = ("gate", "freshness", "services", "clients", "times")
FACTS = {
    "distribution": "Debian",
    "distribution_major_version": "13",
    "distribution_version": "13",
    "processor_vcpus": 4,
}


@dataclass(frozen=True, slots=True)
class File:
    """A file or a folder of a host: absolute path, content, and whose it is."""

    path: str
    data: bytes
    mode: int
    owner: str
    group: str
    folder: bool = False


@dataclass(slots=True)
class RoleRun:
    """One run of a role in the mind; `seen` holds what its tasks would find on the host."""

    role: str
    variables: dict[str, Any]
    seen: dict[str, Any] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    _loader: Any = field(default_factory=DataLoader)

    def run(self) -> list[File]:
        """Return files and folders in the order in which they are written.

        Raises RefusedError with the role's own words when one of its assertions fails.
        """
        with TURN:
            return self._run()

    def _run(self) -> list[File]:
        _find_plugins()
        folder = ROLES / self.role
        names: dict[str, Any] = {
            "ansible_facts": FACTS,
            "ansible_managed": "Ansible managed",
            "ansible_playbook_python": sys.executable,
            "ansible_check_mode": False,
            "inventory_hostname": "world",
            "role_path": str(folder),
        }
        for part in ("defaults", "vars"):
            if (folder / part / "main.yml").exists():
                names |= self._load(folder / part / "main.yml")
        self.variables = names | self.variables | self.seen
        for name in names:
            if name.endswith("_program"):  # packed by a program of its own: once is enough
                if name not in PACKED:
                    PACKED[name] = self._value(names[name], {})
                self.variables[name] = PACKED[name]
        self._tasks(self._load(folder / "tasks" / "main.yml"))
        return list(self.files.values())

    def _load(self, file: Path) -> Any:
        return self._loader.load_from_file(str(file), trusted_as_template=True)

    def _tasks(self, tasks: list[dict[str, Any]]) -> None:
        for task in tasks:
            words = {key.removeprefix("ansible.builtin."): value for key, value in task.items()}
            if imported := words.get("import_tasks") or words.get("include_tasks"):
                name = imported if isinstance(imported, str) else imported["file"]
                if not name.startswith(LOOKING) and self._wanted(words, {}):
                    self._tasks(self._load(ROLES / self.role / "tasks" / name))
            elif "block" in words:
                if _does_something(words["block"]) and self._wanted(words, {}):
                    self._tasks(words["block"])
            elif _does_something([task]):
                self._task(words)

    def _task(self, words: dict[str, Any]) -> None:
        own = words.get("vars", {})
        name = words.get("loop_control", {}).get("loop_var", "item")
        results = []
        for item in self._value(words["loop"], own) if "loop" in words else [None]:
            more = own | ({name: item} if "loop" in words else {})
            if self._wanted(words, more):
                results.append(self._do(words, more) | {name: item})
        if "register" in words:
            self.variables[words["register"]] = (
                {"results": results} if "loop" in words else results[0]
            )

    def _do(self, words: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
        """Do a task once; return what it registers."""
        if "template" in words:
            self._template(self._value(words["template"], more), more)
        elif "copy" in words:
            self._copy(self._value(words["copy"], more))
        elif "file" in words:
            self._folder(self._value(words["file"], more))
        elif "set_fact" in words:
            self.variables |= self._value(words["set_fact"], more)
        elif "assert" in words:
            self._assert(words["assert"], more)
        elif "command" in words:
            return _run(self._value(words["command"], more))
        return {}

    def _templar(self, more: dict[str, Any]) -> Any:
        return Templar(loader=self._loader, variables=self.variables | more)

    def _value(self, template: Any, more: dict[str, Any]) -> Any:
        return self._templar(more).template(template)

    def _wanted(self, words: dict[str, Any], more: dict[str, Any]) -> bool:
        return self._all_true(words.get("when", []), more)

    def _all_true(self, conditions: Any, more: dict[str, Any]) -> bool:
        each = conditions if isinstance(conditions, list) else [conditions]
        return all(
            one if isinstance(one, bool) else self._templar(more).evaluate_conditional(one)
            for one in each
        )

    def _assert(self, asked: dict[str, Any], more: dict[str, Any]) -> None:
        if not self._all_true(asked["that"], more):
            raise RefusedError(str(self._value(asked["fail_msg"], more)).strip())

    def _template(self, asked: dict[str, Any], more: dict[str, Any]) -> None:
        source = ROLES / self.role / "templates" / asked["src"]
        text = trust_as_template(source.read_text(encoding="utf-8"))
        written = self._templar(more).template(text, escape_backslashes=False, overrides=TEMPLATE)
        self._write(asked, str(written).encode())

    def _copy(self, asked: dict[str, Any]) -> None:
        if "content" in asked:
            self._write(asked, str(asked["content"]).encode())
        else:
            self._write(asked, (ROLES / self.role / "files" / asked["src"]).read_bytes())

    def _folder(self, asked: dict[str, Any]) -> None:
        path, mode = str(asked["path"]), int(asked["mode"], 8)
        self.files[path] = File(path, b"", mode, asked["owner"], asked["group"], folder=True)

    def _write(self, asked: dict[str, Any], data: bytes) -> None:
        path, mode = str(asked["dest"]), int(asked["mode"], 8)
        self.files[path] = File(path, data, mode, asked["owner"], asked["group"])


@functools.cache
def _find_plugins() -> None:
    """Find Ansible's own plugins; it wants that once for a process."""
    init_plugin_loader([])


def _run(asked: dict[str, Any]) -> dict[str, Any]:
    """Run on this machine what the role runs on the controller."""
    done = subprocess.run(
        [str(word) for word in asked["argv"]],
        input=asked.get("stdin"),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {"stdout": done.stdout, "stderr": done.stderr, "rc": 0}


def _does_something(tasks: list[dict[str, Any]]) -> bool:
    """Tell whether a task computes, refuses or writes; what only looks at a host does not."""
    kinds = {"template", "copy", "set_fact", "assert", "block", "import_tasks", "include_tasks"}
    return any(
        kinds & {key.removeprefix("ansible.builtin.") for key in task}
        or task.get("ansible.builtin.file", {}).get("state") == "directory"
        or ("ansible.builtin.command" in task and task.get("delegate_to") == "localhost")
        for task in tasks
    )

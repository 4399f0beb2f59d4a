"""Many questions in one log-in: a POSIX script whose answers come back by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from releve.ssh import Ssh

MARK = "\x1e"  # a record separator: no text that we ask for holds one
SECONDS = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """What one question printed, and its exit code."""

    text: str
    code: int

    @property
    def good(self) -> bool:
        """Whether it ended with 0."""
        return self.code == 0


MUTE = Answer("", 127)


def script(questions: Mapping[str, str]) -> str:
    """Return a script that asks all questions, each in its own shell, and never fails itself."""
    parts = ["export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    for name, question in questions.items():
        parts.append(f"printf '\\036%s\\036' {name}")
        parts.append(f"(\n{question}\n) 2>&1 </dev/null")
        parts.append("printf '\\036%s\\036' $?")
    return "\n".join(parts) + "\n"


def read(said: str) -> dict[str, Answer]:
    """Return name -> answer of what `script` printed; what was cut off is not there."""
    words = said.split(MARK)[1:]
    found = {}
    for name, text, code in zip(words[0::4], words[1::4], words[2::4], strict=False):
        found[name] = Answer(text, int(code) if code.strip().isdigit() else MUTE.code)
    return found


def ask(ssh: Ssh, questions: Mapping[str, str], seconds: float = SECONDS) -> dict[str, Answer]:
    """Ask one host; raises CommandError when it cannot be reached."""
    done = ssh.run("sh -s", stdin=script(questions), timeout=seconds)
    answers = read(done.stdout)
    return {name: answers.get(name, MUTE) for name in questions}

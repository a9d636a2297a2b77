"""Speaking to a terminal and to a file."""

import io

from holdfast.drills.talk import Talk


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_live_line_is_replaced_on_a_terminal_and_rare_elsewhere() -> None:
    terminal, file = Terminal(), io.StringIO()
    now_s = iter(range(100))
    for talk in (Talk(terminal), Talk(file, clock=lambda: next(now_s))):
        talk.say("begin")
        for number in range(8):
            talk.live(f"step {number}")
        talk.say("end")
    assert terminal.getvalue().count("\n") == 2
    assert terminal.getvalue().endswith("\r\x1b[2Kend\n")
    assert file.getvalue().splitlines() == ["begin", "step 4", "end"]

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from magpie_hub.checks import cage
from magpie_hub.checks.sandbox import Outcome, code_of, passes, run
from magpie_hub.errors import UsageError


@pytest.fixture(scope="module")
def isolated() -> None:
    if not run("").isolated:
        pytest.skip("this kernel gives no namespaces")


def alive(mark: str) -> list[str]:
    """The processes whose command line or environment names ``mark``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in command:
            found.append(process.name)
    return found


def test_a_script_reads_and_writes() -> None:
    outcome = run(
        "print(int(input()) * 2, __name__)\nimport sys; print('w', file=sys.stderr)", stdin="21\n"
    )
    assert (outcome.state, outcome.stdout, outcome.stderr) == ("ok", "42 __main__\n", "w\n")
    assert outcome.ok and 0 < outcome.seconds < 5


def test_unicode_comes_through_and_what_is_none_is_replaced() -> None:
    assert run("print('π ≈ 3 – 日本')").stdout == "π ≈ 3 – 日本\n"
    assert run("print(input())", stdin="häß 🎲").stdout == "häß 🎲\n"
    assert run(r"import sys; sys.stdout.buffer.write(b'a\xffb')").stdout == "a\ufffdb"
    assert run("print('\ud800')").state == "error"


@pytest.mark.parametrize(
    ("code", "last"),
    [("def f(:", "SyntaxError"), ("1/0", "ZeroDivisionError"), ("import numpy", "No module named")],
)
def test_an_error_is_told(code: str, last: str) -> None:
    outcome = run(code)
    assert outcome.state == "error" and not outcome.ok
    assert last in outcome.stderr.splitlines()[-1]


def test_the_status_counts() -> None:
    assert run("exit(0)").ok
    assert run("exit(3)").state == "error"
    assert run("import os; os.kill(os.getpid(), 9)").state == "error"


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(60)",
        "print('a', flush=True)\nimport os; os.close(1); os.close(2)\nwhile True: pass",
    ],
)
def test_a_loop_is_ended(code: str) -> None:
    begin = time.monotonic()
    assert run(code, seconds=1).state == "timeout"
    assert time.monotonic() - begin < 10


def test_what_was_written_before_the_end_is_kept() -> None:
    outcome = run("print('begun', flush=True)\nwhile True: pass", seconds=5)
    assert (outcome.state, outcome.stdout) == ("timeout", "begun\n")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not limit memory")
def test_memory_is_bounded() -> None:
    assert run("x = bytearray(400 << 20)", megabytes=600).ok
    assert run("x = bytearray(400 << 20)", megabytes=300).state == "memory"
    assert run("x = []\nwhile True: x.append(bytearray(1 << 20))").state == "memory"


def test_a_flood_of_output_ends_it() -> None:
    outcome = run("while True: print('x' * 10_000)", seconds=60, output_bytes=5000)
    assert (outcome.state, outcome.stdout) == ("error", "x" * 5000)
    assert outcome.stderr.endswith("stopped: more than 5000 bytes of output")
    assert outcome.seconds < 30


def test_of_errors_the_end_is_kept() -> None:
    code = "import sys; sys.stderr.write('x' * 1_000_000 + 'end')"
    outcome = run(code, output_bytes=100)
    assert outcome.ok
    assert outcome.stderr == "x" * 97 + "end"


def test_a_file_of_a_gigabyte_is_not_written() -> None:
    code = "f = open('big', 'wb')\nfor _ in range(1024): f.write(bytes(1 << 20)); f.flush()"
    outcome = run(code, seconds=20)
    assert outcome.state == "error"
    assert "File too large" in outcome.stderr


def test_the_folder_is_empty_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = "import os; print(os.listdir()); open('a', 'w').write('b'); print(open('a').read())"
    assert run(code).stdout == "[]\nb\n"
    assert list(tmp_path.iterdir()) == []


def test_forks_are_bounded() -> None:
    # 200 and no more, so that a sandbox that fails does not take the machine with it.
    code = (
        "import os, time\n"
        "for made in range(200):\n"
        "    try:\n"
        "        if os.fork() == 0: time.sleep(60); os._exit(0)\n"
        "    except OSError: break\n"
        "print(made)"
    )
    outcome = run(code, seconds=20)
    assert outcome.ok
    assert int(outcome.stdout) < cage.PROCESSES


@pytest.mark.skipif(sys.platform == "darwin", reason="needs /proc")
@pytest.mark.parametrize("seconds", [30, 5])
def test_no_process_outlives_it(seconds: int, isolated: None) -> None:
    mark = secrets.token_hex(8)
    command = [sys.executable, "-c", "print(flush=True); input()", mark]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline()
        assert alive(mark) == [str(other.pid)]
        other.communicate(b"\n")
    wait = "" if seconds > 5 else "while True: pass"
    outcome = run(grandchild(mark) + wait, seconds=seconds)
    assert outcome.state == ("ok" if seconds > 5 else "timeout")
    assert outcome.stdout == "started\n"
    assert outcome.seconds < 20
    assert alive(mark) == []


def grandchild(mark: str) -> str:
    """It leaves the group and the session, and keeps the pipes."""
    sleep = "import os, sys, time; os.write(int(sys.argv[1]), b'1'); time.sleep(60)"
    return (
        "import os, sys\n"
        "ready, told = os.pipe()\n"
        "os.set_inheritable(told, True)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        f"        command = [sys.executable, '-c', {sleep!r}, str(told), {mark!r}]\n"
        "        os.execv(sys.executable, command)\n"
        "    os._exit(0)\n"
        "os.read(ready, 1)\n"
        "print('started', flush=True)\n"
    )


def test_the_environment_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", mark := secrets.token_hex(8))
    code = "import os; print(sorted(os.environ))"
    assert run(code).stdout == "['HOME', 'LANG', 'PATH']\n"
    assert mark not in run("import os; print(os.environ)").stdout


def test_nor_is_it_read_from_the_parent(isolated: None) -> None:
    # The environment of a process as it was started: that of this test has PATH.
    code = (
        "import os\n"
        f"for pid in ({os.getpid()}, os.getppid(), 'self'):\n"
        "    try: print(open(f'/proc/{pid}/environ').read())\n"
        "    except OSError as error: print(type(error).__name__)\n"
    )
    assert run(code).stdout == "FileNotFoundError\n" * 3


def test_there_is_no_network(isolated: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        code = f"import socket; socket.create_connection({address!r}, 2)"
        subprocess.run([sys.executable, "-c", code], check=True)
        outcome = run(code)
        listener.settimeout(2)
        listener.accept()[0].close()
        assert outcome.state == "error"
        assert "unreachable" in outcome.stderr
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_no_file_elsewhere_is_changed(isolated: None) -> None:
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as folder:
        file = Path(folder, "file")
        file.write_text("before")
        for code in (f"open({str(file)!r}, 'w')", f"import os; os.remove({str(file)!r})"):
            outcome = run(code)
            assert outcome.state == "error"
            # Below the folder for temporary files, which is covered, it does not even see it.
            assert re.search("Read-only file system|No such file", outcome.stderr)
        assert file.read_text() == "before"


def test_no_process_elsewhere_gets_a_signal(isolated: None) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        outcome = run(f"import os; os.kill({other.pid}, 9)")
        assert "ProcessLookupError" in outcome.stderr
        assert other.poll() is None
        other.communicate(b"\n")
    assert other.returncode == 0


def test_the_code_has_no_rights_to_undo_it(isolated: None) -> None:
    code = (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.mount(b'tmpfs', b'/', b'tmpfs', 0, b''), ctypes.get_errno())\n"
        "print(libc.umount(b'/proc'), ctypes.get_errno())"
    )
    assert run(code).stdout == "-1 1\n-1 1\n"


def test_many_at_once() -> None:
    outcomes: list[Outcome] = []
    threads = [
        threading.Thread(target=lambda n=n: outcomes.append(run(f"print({n})", seconds=30)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(outcome.stdout) for outcome in outcomes) == list(range(8))


NARROW = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
"""A shell in a namespace that allows none below it."""


@pytest.mark.parametrize("root", [False, True])
def test_without_namespaces_it_says_so(root: bool) -> None:
    who = ["--map-root-user"] if root else ["--map-user=1000", "--keep-caps"]
    narrow = ["unshare", "--user", *who, "sh", "-c", NARROW, "sh"]
    if not shutil.which("unshare") or subprocess.run([*narrow, "true"]).returncode:
        pytest.skip("no namespace to try it in")
    mark = secrets.token_hex(8)
    code = (
        "from magpie_hub.checks.sandbox import run; import sys; "
        "outcome = run(sys.argv[1], seconds=20); print(outcome.state, outcome.isolated)"
    )
    command = [*narrow, sys.executable, "-c", code, grandchild(mark)]
    done = subprocess.run(command, capture_output=True, text=True)
    if root:
        assert "UsageError: code of a model does not run as root" in done.stderr
    else:
        assert done.stdout in ("ok False\n", "error False\n"), done.stderr
    assert alive(mark) == []


def test_elsewhere_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(UsageError, match="on Linux and macOS, not on win32"):
        run("")


def test_code_passes_its_tests() -> None:
    code = "def add(a, b): return a + b"
    assert passes(code, "assert add(1, 2) == 3")
    assert not passes(code, "assert add(1, 2) == 4")
    assert not passes("def add(", "assert True")


def test_what_stops_before_the_tests_does_not_pass() -> None:
    for early in ("exit(0)", "import os; os._exit(0)", "raise SystemExit"):
        assert not passes(early, "assert False")
        assert not passes(early, "assert True")


def test_a_module_does_not_run_its_script() -> None:
    code = (
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "@dataclass\nclass A:\n    n: int\n"
        "if __name__ == '__main__': A(int(input()))"
    )
    assert passes(code, "assert A(1) == A(1)")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("a\n```python\nx = 1\n```\nb\n```py\nx = 2\n```\n", "x = 2\n"),
        ("```python\nx = 1\n```\n```\noutput\n```\n```bash\nls\n```", "x = 1\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("1. do\n   ```Python3\n   if x:\n       y\n   ```", "if x:\n    y\n"),
        ("~~~~python\n```\n~~~~", "```\n"),
        ("```python\nx = 1\n```\n```python\ncut off", "x = 1\n"),
        ("```bash\nls\n```", None),
        ("no code", None),
        ("`" * 100_000, None),
        ("```\n" * 50_001, "\n"),
    ],
    ids=range(10),
)
def test_the_code_of_an_answer(answer: str, code: str | None) -> None:
    assert code_of(answer) == code

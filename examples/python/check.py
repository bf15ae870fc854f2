#!/usr/bin/env python3
"""Runs the programs of this folder against a "slipway up" of its own. `make python` calls it.

    check.py SLIPWAY [VENV]

SLIPWAY is the program; VENV is where nats-py is installed, a folder of its own by default. Where nats-py cannot be
installed, it says so and leaves the program that needs it out. It ends with 1 if a program does not do what it is to do.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
MODELS = HERE.parent.parent / "cmd" / "slipway" / "demo"
START_SECONDS = 120
RUN_SECONDS = 300
INSTALL_SECONDS = 120


def python_with_nats(venv):
    """The interpreter of an environment with nats-py; None where there cannot be one."""
    interpreter = venv / "bin" / "python"
    for step in (
        [sys.executable, "-m", "venv", str(venv)],
        [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--timeout", "10",
         "--retries", "1", "--requirement", str(HERE / "requirements.txt")],
    ):
        try:
            subprocess.run(step, check=True, capture_output=True, timeout=INSTALL_SECONDS)
        except (OSError, subprocess.SubprocessError):
            return None
    return str(interpreter)


class Slipway:
    """A slipway that is up for as long as the block is."""

    def __init__(self, program, folder):
        self.data = folder / "data"
        environment = {
            "PATH": os.environ.get("PATH", ""), "HOME": str(folder), "SLIPWAY_DATA_DIR": str(self.data), "SLIPWAY_NATS_PORT": "0",
            "SLIPWAY_PREDICT_ADDR": "127.0.0.1:0", "SLIPWAY_GATEWAY_ADDR": "127.0.0.1:0", "SLIPWAY_LOG_LEVEL": "warn",
        }
        self.process = subprocess.Popen([program, "up"], env=environment, stdout=subprocess.DEVNULL)

    def __enter__(self):
        end = time.monotonic() + START_SECONDS
        while not (self.data / "endpoints.json").exists():
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                sys.exit("slipway is not ready")
            time.sleep(0.05)
        return json.loads((self.data / "endpoints.json").read_text())

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


failures = 0


def expect(name, interpreter, arguments, where, code, says, uploads):
    """Runs a program, which is to end with the code, say that, and upload or not."""
    global failures
    environment = {"PATH": os.environ.get("PATH", ""), "NATS_URL": where["nats"], "SLIPWAY_GATEWAY": where["gateway"]}
    done = subprocess.run([interpreter, str(HERE / name), *arguments, "--source", "/test/" + name], env=environment, capture_output=True, text=True, timeout=RUN_SECONDS)
    right = done.returncode == code and says in done.stdout + done.stderr and ("uploading" in done.stderr) == uploads
    print(("ok    " if right else "FAIL  ") + " ".join([name, *arguments[:1], *arguments[2:]]))
    if not right:
        failures += 1
        print(f"got exit code {done.returncode}, want {code} and {says!r}, uploaded: {uploads}\n{done.stdout}{done.stderr}")


def main():
    if sys.version_info < (3, 9):
        print("left out: the programs need Python 3.9 or newer")
        return 0
    program = str(pathlib.Path(sys.argv[1]).resolve())
    first, second = str(MODELS / "churn-v1.ubj"), str(MODELS / "churn-v2.ubj")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        venv = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else folder / "venv"
        interpreters = {"deploy_http.py": sys.executable, "deploy_nats.py": python_with_nats(venv)}
        broken = folder / "broken.ubj"
        broken.write_text("no model")
        with Slipway(program, folder) as where:
            for name, interpreter in interpreters.items():
                if interpreter is None:
                    print(f"left out: {name}: nats-py cannot be installed here")
                    continue
                churn = name.removesuffix(".py").replace("_", "-")
                expect(name, interpreter, [churn, first, "--id", "run-1"], where, 0, f"{churn} completed", True)
                expect(name, interpreter, [churn, first, "--id", "run-1"], where, 0, f"{churn} completed", False)
                expect(name, interpreter, [churn, second, "--id", "run-1"], where, 1, "was published before with other content", True)
                expect(name, interpreter, [churn, second, "--id", "run-2"], where, 1, f"{churn} rejected: deployment_exists: ", True)
                expect(name, interpreter, [churn + "-2", str(broken), "--id", "run-3"], where, 1, f"{churn}-2 rejected: artifact_invalid: ", True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

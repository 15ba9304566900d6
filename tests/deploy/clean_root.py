"""Carry out the Dockerfile without Docker: ``sudo python -m tests.deploy.clean_root [--work DIR]``.

A minimal Debian (debootstrap) stands in for the base image. Every instruction of the Dockerfile is read and carried out
as it stands in copies of that root, each RUN in a mount and process space of its own (bwrap). Then the image is run the
way the recipes do: as its own user, without capabilities, read-only but for a /tmp in memory, and without any network.

Needs root, debootstrap, bubblewrap, setpriv and a package index; takes a few minutes and 1.5 GB, and is no part of
`make test`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from tests.deploy.dockerfile import Instruction, Stage, stages
from tests.deploy.dockerignore import context
from venice_batch.errors import Exit

ROOT = Path(__file__).parents[2]
MIRROR = "http://deb.debian.org/debian"
#: What Debian's Python lacks of the official image: pip, venv, and the name `python`.
PACKAGES = "python3,python3-venv,python3-pip,python-is-python3,ca-certificates"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: How this machine reaches the package index; of nothing else does the build hear.
NETWORK = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "PIP_DEFAULT_TIMEOUT", "HTTP_PROXY", "HTTPS_PROXY")
#: Mounts a fresh /tmp.
MEMORY = ("--perms", "1777", "--tmpfs", "/tmp")  # noqa: S108 - of the new root, not of this machine
#: Of the twelve drawn photos two are bad on purpose.
GOOD = 10
DEMO = [Exit.ITEMS_FAILED]


@dataclass
class Image:
    """A root folder with what the Dockerfile says about running it."""

    root: Path
    env: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    workdir: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def inside(self, *options: str, env: Mapping[str, str] | None = None) -> list[str]:
        """Return the beginning of a command line that runs something in this root, without this machine's variables."""
        pairs = [word for pair in {**self.env, **(env or {})}.items() for word in ("--setenv", *pair)]
        spaces = ["--proc", "/proc", "--dev", "/dev", "--unshare-pid", "--unshare-ipc", "--die-with-parent"]
        return ["bwrap", *options, *spaces, "--clearenv", *pairs, "--chdir", self.workdir]

    def build(self, instruction: Instruction, others: Mapping[str, Image]) -> None:
        """Carry out one instruction."""
        text = instruction.text
        match instruction.keyword:
            case "RUN":
                self._run(text)
            case "COPY":
                source = others[instruction.flags["from"]].root if "from" in instruction.flags else None
                self._copy(instruction.words, source)
            case "ENV":
                words = (word.split("=", 1) for word in instruction.words)
                self.env.update({name: Template(value).substitute(self.env) for name, value in words})
            case "WORKDIR":
                self.workdir = text
                self._at(text).mkdir(parents=True, exist_ok=True)
            case "USER":
                self.user = text
            case "ENTRYPOINT":
                self.entrypoint = instruction.executed
            case "CMD":
                self.command = instruction.executed
            case "HEALTHCHECK":
                self.health = Instruction("CMD", {}, text.removeprefix("CMD ")).executed
            case "LABEL" | "STOPSIGNAL":
                pass
            case other:
                raise ValueError(f"{other}: not carried out")

    def _run(self, script: str) -> None:
        shared = ["--ro-bind", "/etc/resolv.conf", "/etc/resolv.conf", "--ro-bind", "/etc/ssl/certs", "/etc/ssl/certs"]
        env = {name: os.environ[name] for name in NETWORK if name in os.environ}
        begin = self.inside("--bind", str(self.root), "/", *MEMORY, *shared, env=env)
        subprocess.run([*begin, "/bin/sh", "-c", script], check=True)

    def _copy(self, words: Sequence[str], source: Path | None) -> None:
        *names, target = words
        for name in names:
            into = self._at(target)
            into = into / Path(name).name if target.endswith("/") else into
            if source is not None:
                shutil.copytree(source / name.removeprefix("/"), into, symlinks=True)
            else:
                _copy_context(name, into)

    def _at(self, path: str) -> Path:
        return self.root / str(Path(self.workdir, path)).removeprefix("/")

    def _home(self, uid: str) -> str:
        lines = (self.root / "etc/passwd").read_text("utf-8").splitlines()
        return next(fields[5] for fields in (line.split(":") for line in lines) if fields[2] == uid)

    def contained(self, *extra: str) -> list[str]:
        """Return how a container is run: read-only root, /tmp in memory, no network, no capabilities, its own user."""
        uid, gid = self.user.split(":")
        mounts = ["--ro-bind", str(self.root), "/", *MEMORY, *extra]
        begin = self.inside(*mounts, "--unshare-net", env={"HOME": self._home(uid)})
        dropped = ["--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs"]
        return [*begin, "setpriv", "--reuid", uid, "--regid", gid, *dropped]


def _copy_context(name: str, into: Path) -> None:
    """Copy a file or folder of the project, without what .dockerignore keeps back."""
    sent = [file for file in context(ROOT) if file == name or file.startswith(f"{name}/")]
    if not sent:
        raise FileNotFoundError(f"COPY {name}: .dockerignore keeps it back")
    for file in sent:
        target = into if file == name else into / Path(file).relative_to(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, target)


def built(base: Path, work: Path) -> Image:
    """Build every stage of the Dockerfile, each on a copy of `base`; return the last."""
    images: dict[str, Image] = {}
    for number, stage in enumerate(stages(ROOT / "Dockerfile")):
        images[stage.name or str(number)] = image = Image(work / f"stage-{number}")
        _build_stage(stage, image, base, images)
    return image


def _build_stage(stage: Stage, image: Image, base: Path, images: Mapping[str, Image]) -> None:
    say(f"FROM {stage.base} (here: Debian bookworm by debootstrap)")
    subprocess.run(["cp", "-a", str(base), str(image.root)], check=True)
    for instruction in stage.instructions:
        say(f"{instruction.keyword} {instruction.text}"[:150])
        image.build(instruction, images)


def say(text: str) -> None:
    """Print one step."""
    sys.stdout.write(f"\n== {text}\n")
    sys.stdout.flush()


def expect(command: Sequence[str], codes: Sequence[int]) -> None:
    """Run a command that must end with one of these exit codes."""
    code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    if code not in codes:
        raise SystemExit(f"exit code {code}, expected one of {[int(code) for code in codes]}")
    sys.stdout.write(f"-> exit code {code}, as it should be\n")


def look(image: Image, work: Path) -> None:
    """Run the image as the recipes do."""
    say("who and where: the user, no capabilities, nothing writable but /tmp")
    writable = "! touch /x 2>&1 && ! touch /jobs/x 2>&1 && ! touch $HOME/x 2>&1 && touch /tmp/x"
    expect([*image.contained(), "sh", "-c", f"id; grep -E 'CapEff|NoNewPrivs' /proc/self/status; {writable}"], [0])
    say("the health check")
    expect([*image.contained(), *image.health], [Exit.DONE])
    say("without arguments: the demo")
    kept = work / "finished"
    kept.mkdir()
    os.chown(kept, *map(int, image.user.split(":")))
    mounted = image.contained("--bind", str(kept), "/tmp/finished")  # noqa: S108 - of the new root
    expect([*mounted, *image.entrypoint, *image.command], DEMO)
    pictures = [path for path in kept.rglob("*") if path.is_file() and ".venice-batch" not in path.parts]
    for picture in sorted(pictures):
        sys.stdout.write(f"{picture.stat().st_size:>10,} {picture.relative_to(kept)}\n")
    if len(pictures) != GOOD:
        raise SystemExit(f"{len(pictures)} finished pictures, expected 10")
    say("once more: nothing is left to do")
    expect([*mounted, *image.entrypoint, *image.command], DEMO)


def stop(image: Image) -> None:
    """SIGTERM to a container's first process, which is the command itself: nothing stands between."""
    say("SIGTERM to the demo with calls in flight")
    _terminated(image, image.command, Exit.TERMINATED, seconds=6.0)
    say("SIGTERM to a served emulator")
    _terminated(image, ["emulator", "--port", "8080"], Exit.TERMINATED, seconds=3.0)


def _terminated(image: Image, command: Sequence[str], expected: Exit, seconds: float) -> None:
    with subprocess.Popen([*image.contained("--as-pid-1"), *image.entrypoint, *command]) as process:
        time.sleep(seconds)
        os.kill(_first_process(process.pid), signal.SIGTERM)
        begun = time.monotonic()
        code = process.wait(timeout=60)
    sys.stdout.write(f"-> ended {time.monotonic() - begun:.1f} s after SIGTERM with exit code {code}\n")
    if code != expected:
        raise SystemExit(f"expected exit code {int(expected)}")


def _first_process(outer: int) -> int:
    """Return the process inside, which bwrap started; its own number there is 1."""
    return int(Path(f"/proc/{outer}/task/{outer}/children").read_text("ascii").split()[0])


def main(arguments: Sequence[str] | None = None) -> int:
    """Build and run; the exit code is 0 when everything was as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="keep everything in this new folder; else it is removed at the end")
    parser.add_argument("--base", type=Path, help="a root made before, in place of debootstrap")
    given = parser.parse_args(arguments)
    with ExitStack() as stack:
        work = given.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        base = given.base or work / "base"
        if not base.exists():
            say(f"debootstrap --variant=minbase --include={PACKAGES} bookworm")
            making = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(base), MIRROR]
            subprocess.run(making, check=True, stdout=subprocess.DEVNULL)
        image = built(base, work)
        look(image, work)
        stop(image)
    say("all as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())

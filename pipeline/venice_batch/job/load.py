"""From the text of a job file to a `Job`, or to every problem in it at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from venice_batch.errors import JobError, Problem, UsageError
from venice_batch.job import overrides as options
from venice_batch.job import renditions, secrets, step_list, transparency
from venice_batch.job.environment import substitute
from venice_batch.job.model import (
    ApiSettings,
    Budget,
    FolderSource,
    Head,
    Job,
    Output,
    PromptsSource,
    RunSettings,
    S3Reading,
    Source,
    UrlsSource,
)
from venice_batch.job.notify import NOT_A_MAPPING, Notify
from venice_batch.job.positions import Path as ValuePath
from venice_batch.job.positions import places, plain
from venice_batch.job.presets import PRESETS, Preset
from venice_batch.job.problems import Problems, unknown_key, validate
from venice_batch.job.renditions import RenditionSpec
from venice_batch.job.yaml_tree import MAX_CHARACTERS, Entries, Node, compose
from venice_batch.steps.fields import known_fields
from venice_batch.steps.scalars import Strict, quoted
from venice_batch.steps.table import STEPS
from venice_batch.storage import Access, Place
from venice_batch.trust.regular_file import open_regular

#: Every key at the top, in the order the documentation gives them.
TOP_KEYS = (
    "version",
    "name",
    "source",
    "steps",
    "output",
    "budget",
    "api",
    "run",
    "state",
    "lease",
    "preset",
    "notify",
)

_SOURCES: Mapping[str, type[FolderSource | PromptsSource | UrlsSource]] = {
    "path": FolderSource,
    "prompts": PromptsSource,
    "urls": UrlsSource,
}
_REMEDY = "write `venice-batch run JOB.yaml` with the path of a job file; `venice-batch init` writes a starter"

#: A file that is much larger is no job file, whatever it begins with.
_MOST_BYTES = 1 << 30

_Section = TypeVar("_Section", bound=Strict)


def load(path: Path, *, environ: Mapping[str, str], overrides: Sequence[str] = ()) -> Job:
    """Read a job file.

    Args:
        path: the file; relative paths in it start at its folder.
        environ: the environment that ``${VAR}`` is filled from.
        overrides: ``--set`` options, ``steps.0.scale=4``.

    Returns:
        The job.

    Raises:
        JobError: the file is wrong; with every problem, in the order of the file.
        UsageError: the file cannot be read, or is not UTF-8 text.
    """
    return loads(_text(path), path, environ=environ, overrides=overrides)


def loads(text: str, file: Path, *, environ: Mapping[str, str], overrides: Sequence[str] = ()) -> Job:
    """Read a job from text, as if it stood in ``file``, which need not exist.

    Raises:
        JobError: the text is wrong; with every problem, in the order of the file.
    """
    text, problems = secrets.hide(text, str(file), environ)
    root, found = compose(text, str(file))
    problems += found
    if root is None:
        raise JobError(problems)
    if not isinstance(root, Entries):
        hint = "start with version: 1, then name, source, steps and output"
        raise JobError([*problems, root.mark.problem("a job file is a mapping of keys", hint)])
    root, found = options.apply(root, _without_secrets(overrides, environ, problems))
    root, unset = substitute(root, environ)
    reader = _Reader(root, file, Problems(places(root), [*problems, *found, *unset]))
    job = reader.job()
    if job is None:
        raise JobError(reader.problems.in_order())
    return job


def _text(path: Path) -> str:
    try:
        # A few bytes a character at most; one byte more than that shows that the file is too long.
        with open_regular(path, _MOST_BYTES) as opened:
            content = opened.stream.read(4 * MAX_CHARACTERS + 1)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such job file", remedy=_REMEDY) from None
    except IsADirectoryError:
        raise UsageError(f"{path}: this is a folder, not a job file", remedy=_REMEDY) from None
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
        raise UsageError(f"{path}: cannot be read: {words.lower()}", remedy="check the path and its rights") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(content) > 4 * MAX_CHARACTERS:
            # Cut in the middle of a letter; it is too long anyway, and `loads` says so.
            return content.decode("utf-8-sig", "replace")
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}: not UTF-8 text (line {line})", remedy="save the file as UTF-8") from None


def _without_secrets(overrides: Sequence[str], environ: Mapping[str, str], problems: list[Problem]) -> list[str]:
    clean = []
    for option in overrides:
        name = secrets.hide(option.partition("=")[0], "", environ)[0]
        text, found = secrets.hide(option, f"--set {name}", environ)
        problems += found
        clean.append(text)
    return clean


class _Reader:
    """Reads the sections one by one, so that a mistake in one does not hide those in the others."""

    def __init__(self, root: Node, file: Path, problems: Problems) -> None:
        self.problems = problems
        self._file = file
        self._context: dict[str, Any] = {"folder": file.absolute().parent}
        data = plain(root)
        self._data: dict[str, object] = {} if not isinstance(data, dict) else data
        self._context["columns"] = _has_columns(self._data.get("source"))

    def job(self) -> Job | None:
        """Return the job, or None when anything was reported."""
        self._report_empty(self._data, ())
        self._report_top()
        head = self._validate(Head, self._only(*Head.model_fields))
        preset = PRESETS[head.preset] if head and head.preset else None
        self._append_preset(preset)
        source = self._source()
        steps = (
            step_list.read(self._data["steps"], self._kind(), self.problems, self._context)
            if self._has("steps")
            else ()
        )
        output = self._section("output", Output) if self._has("output") else None
        budget, api = self._section("budget", Budget), self._section("api", ApiSettings)
        run, notify = self._section("run", RunSettings), self._notify()
        if head and output:
            self._report_buckets(head, output)
            output = self._finished_files(output, preset)
        if self.problems.found or not (head and source and output and budget and api and run and notify):
            return None
        transparency.report(steps, output, _place_of(preset), self.problems)
        if self.problems.found:
            return None
        access = _access(output.s3)
        path = output.path.with_access(access)
        return Job(
            file=self._file,
            version=head.version,
            name=head.name,
            source=source,
            steps=steps,
            output=output.model_copy(update={"path": path, "s3": None}),
            budget=budget,
            api=api,
            run=run,
            state=path / ".venice-batch" / head.name
            if head.state is None
            else head.state.with_access(access.for_state()),
            access=access,
            lease=head.lease,
            notify=notify,
            places=self.problems.places,
        )

    def _append_preset(self, preset: Preset | None) -> None:
        """Put the preset's steps behind the job's own, which then need not be there."""
        steps = self._data.get("steps")
        if preset is not None and (steps is None or isinstance(steps, list)):
            self._data["steps"] = [*(steps or []), *preset.job_steps()]

    def _finished_files(self, output: Output, preset: Preset | None) -> Output:
        """Return the output with the finished files of the job or its preset; what is wrong about them is reported."""
        specs = output.renditions
        if preset is not None and specs:
            what = f"preset {preset.name} brings renditions of its own"
            hint = f"keep one of the two; venice-batch presets {preset.name} shows what it stands for"
            self.problems.about_key(("output", "renditions"), what, hint)
        if preset is not None:
            specs = tuple(RenditionSpec.model_validate(each) for each in preset.renditions)
        renditions.report(specs, output.name, _place_of(preset), self.problems)
        return output.model_copy(update={"renditions": specs})

    def _report_buckets(self, head: Head, output: Output) -> None:
        """Report what only makes sense with a bucket, or only without one."""
        if _is_remote(output.path) and head.state is None:
            what = "state is missing: an output on S3 is often public, and ledger and held pictures must not be"
            self.problems.about_key(("state",), what, "write state: s3://BUCKET/PREFIX/, or a local folder")
        if output.s3 is not None and not _is_remote(output.path) and not _is_remote(head.state):
            self.problems.about_key(("output", "s3"), "neither output nor state lies in a bucket", "remove it")
        if "lease" in head.model_fields_set and not _is_remote(head.state):
            what = "lease belongs to a state on S3"
            self.problems.about_key(("lease",), what, "remove it: a local state is locked by the system")

    def _report_empty(self, value: object, path: ValuePath) -> None:
        """Report every place without a value; only a step's fields may be left empty."""
        if isinstance(value, dict):
            for key in list(value):
                self._report_empty(value[key], (*path, key))
        elif isinstance(value, list):
            for place, item in enumerate(value):
                self._report_empty(item, (*path, place))
        elif value is None and not _may_be_empty(path):
            self.problems.about_nothing(path)

    def _report_top(self) -> None:
        for key in self._data:
            if key not in TOP_KEYS:
                self.problems.about_key((key,), *unknown_key(key, TOP_KEYS, ()))
        for key in ("source", "steps", "output"):
            if key not in self._data and not (key == "steps" and self._has("preset")):
                self.problems.about_key((key,), f"{key} is missing", _EXAMPLES[key])

    def _only(self, *keys: str) -> dict[str, object]:
        return {key: self._data[key] for key in keys if key in self._data}

    def _has(self, key: str) -> bool:
        return self._data.get(key) is not None

    def _validate(self, model: type[_Section], value: object, path: ValuePath = (), **more: Any) -> _Section | None:
        return validate(model, value, path, self.problems, context=self._context, **more)

    def _section(self, name: str, model: type[_Section], **more: Any) -> _Section | None:
        value = self._data.get(name)
        short = name in options.SHORT_FOR and isinstance(value, str)
        return self._validate(model, {options.SHORT_FOR[name]: value} if short else value, (name,), **more)

    def _notify(self) -> Notify | None:
        value = self._data.get("notify")
        if value is not None and not isinstance(value, dict):
            # `validate` would repeat the value, which may be a secret address.
            self.problems.about_value(("notify",), *NOT_A_MAPPING)
            return None
        return self._section("notify", Notify)

    def _kind(self) -> str:
        """What the source is, or empty when that is not known."""
        value = self._data.get("source")
        if isinstance(value, str):
            return "path"
        kinds = [key for key in _SOURCES if isinstance(value, dict) and key in value]
        return kinds[0] if len(kinds) == 1 else ""

    def _source(self) -> Source | None:
        if not self._has("source"):
            return None
        value, kind = self._data["source"], self._kind()
        if not kind:
            self._report_source(value)
            return None
        source = self._section("source", _SOURCES[kind], unknown=lambda key: _folder_only(key, kind))
        if not isinstance(source, FolderSource):
            return source
        if source.s3 is not None and not _is_remote(source.path):
            self.problems.about_key(("source", "s3"), "the source does not lie in a bucket", "remove it")
        return source.model_copy(update={"path": source.path.with_access(_access(source.s3)), "s3": None})

    def _report_source(self, value: object) -> None:
        kinds = [key for key in _SOURCES if isinstance(value, dict) and key in value]
        if len(kinds) > 1:
            what = f"two sources: {' and '.join(kinds)}"
            self.problems.about_key(("source", kinds[1]), what, "keep one; write a second job for the other")
            return
        for key in value if isinstance(value, dict) else ():
            if key not in known_fields(FolderSource):
                self.problems.about_key(("source", key), *unknown_key(key, (*_SOURCES, *_FOLDER_ONLY), ("source",)))
        if not self.problems.any_below(("source",)):
            self.problems.about_value(("source",), f"{quoted(value)} names no source", _EXAMPLES["source"])


_FOLDER_ONLY = ("include", "exclude", "keys", "s3")
_EXAMPLES = {
    "source": "write source: {path: ./photos}, {prompts: FILE} or {urls: FILE}",
    "steps": "write steps: and a list such as - edit: {prompt: ...}",
    "output": "write output: {path: ./out}",
}


def _has_columns(source: object) -> bool:
    return isinstance(source, dict) and bool({"metadata", "prompts"} & source.keys())


def _folder_only(key: str, kind: str) -> tuple[str, str] | None:
    if key == "metadata":
        return "a prompts file has its own columns", "remove metadata, and put the columns into the prompts file"
    if key in _FOLDER_ONLY:
        return f"{key} belongs to a folder of pictures", f"remove it: {kind} takes the whole file"
    return None


def _access(section: S3Reading | None) -> Access:
    return Access() if section is None else section.access()


def _is_remote(place: Place | None) -> bool:
    return place is not None and place.folder is None


def _place_of(preset: Preset | None) -> ValuePath:
    """Return where the renditions stand."""
    return ("output", "renditions") if preset is None else ("preset",)


def _may_be_empty(path: ValuePath) -> bool:
    return len(path) == 3 and path[0] == "steps" and path[2] in STEPS  # noqa: PLR2004 - steps, number, name

"""mteb's tasks by name, with their data from the Hugging Face Hub or from local folders, and a method for each."""

from __future__ import annotations

import difflib
import glob
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from oneword.digest import file_sha256
from oneword.errors import InputError, MethodError
from oneword.evaluation.mteb_encoder import one_line, quiet_mteb
from oneword.evaluation.results import digest_of
from oneword.method import Method
from oneword.registry import find_method

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Tables 10 to 13 of the Contrastive Prompting paper; as on mteb's leaderboard then, English, and not the later .v2
CP_PAPER = (
    "AmazonCounterfactualClassification:en",
    "Banking77Classification",
    "EmotionClassification",
    "SprintDuplicateQuestions",
    "TwitterSemEval2015",
    "AskUbuntuDupQuestions",
    "SciDocsRR",
    "StackOverflowDupQuestions",
    "TwentyNewsgroupsClustering",
)
GROUPS: Mapping[str, tuple[str, ...]] = {"cp-paper": CP_PAPER}
DEFAULT = "default"  # of a file of methods: for tasks that it does not name

_ENDINGS = (".parquet", ".jsonl", ".json", ".csv", ".tsv", ".arrow")
_RETRIEVAL_PART = "(.+-)?(corpus|queries|query|qrels|top_ranked|instruction)"
_COLUMNS = ("input_column_name", "input1_column_name", "input2_column_name", "label_column_name")
_LAYOUT = (
    "files are called by their split (test.parquet), those of a subset or of corpus, queries, qrels and top_ranked "
    "stand in folders of that name, and a copy of the Hub's folder has its README.md; NAME:SUBSET is one subset alone"
)
_PRESET = ("dataset", "corpus", "queries", "relevant_docs", "top_ranked", "instructions")


@dataclass(frozen=True)
class MtebTask:
    """A task of mteb with its data.

    Args:
        name: mteb's name of it, with ``:SUBSET`` where only one of its subsets is scored.
        task: mteb's own object, its data loaded.
        place: where the data is from, for messages.
        data: digest of the data, the splits and mteb's version.
    """

    name: str
    task: Any
    place: str
    data: str

    @property
    def metric(self) -> str:
        """What mteb calls the main score."""
        return str(self.task.metadata.main_score)

    def fresh(self) -> Any:
        """The object as it was when its data was loaded, so that every method is scored on the same samples.

        mteb draws them from a generator that its object keeps.
        """
        task = copy(self.task)
        task.rng_state, task.np_rng = deepcopy((self.task.rng_state, self.task.np_rng))
        return task


def find_tasks(names: Iterable[str]) -> dict[str, Any]:
    """Tasks of mteb of those names, without their data.

    Of a task that has a test split, only that is scored, as on mteb's English leaderboards.

    Args:
        names: mteb's, in any case, as in ``Banking77Classification``; ``NAME:SUBSET`` is one subset of a multilingual
            task, and ``cp-paper`` stands for the nine tasks of the Contrastive Prompting paper.

    Raises:
        InputError: no such task or subset, or a task that is not one of texts.
    """
    tasks = {}
    with quiet_mteb():
        known = {cls.metadata.name.lower(): cls for cls in _task_classes()}
        for name in (one for given in names for one in GROUPS.get(given.lower(), (given,))):
            base, _, subset = name.partition(":")
            if base.lower() not in known:
                raise InputError(f"unknown mteb task '{base}' ({_nearest(base, known)})")
            task = known[base.lower()]()
            _check_usable(task)
            if subset and subset not in task.hf_subsets:
                raise InputError(f"{task.metadata.name} has no subset '{subset}'; it has {', '.join(task.hf_subsets)}")
            if subset:
                task.hf_subsets = [subset]
            if "test" in task.eval_splits:
                task.filter_eval_splits(["test"])
            tasks[f"{task.metadata.name}:{subset}" if subset else task.metadata.name] = task
    return tasks


def load_tasks(tasks: Mapping[str, Any], data: Path | None = None, cache: Path | None = None) -> list[MtebTask]:
    """Tasks with their data, from the Hub or from local folders.

    Args:
        tasks: from :func:`find_tasks`.
        data: holds a folder for each task, called as mteb calls it; None asks the Hub.
        cache: as for :func:`load_task`.

    Raises:
        InputError: a folder is missing, or data that mteb cannot load.
    """
    if data is None:
        return [load_task(task, name) for name, task in tasks.items()]
    folders = {name: data / task.metadata.name for name, task in tasks.items()}
    missing = {name: folder for name, folder in folders.items() if not folder.is_dir()}
    if missing:
        raise InputError(
            f"{', '.join(missing)} missing from {data} (no {', '.join(map(str, missing.values()))}); put the files of "
            "its splits there, as in train.parquet and test.parquet, or leave --data out to ask the Hugging Face Hub"
        )
    return [load_task(task, name, folders[name], cache) for name, task in tasks.items()]


def load_task(task: Any, name: str | None = None, folder: Path | None = None, cache: Path | None = None) -> MtebTask:
    """A task with its data; what a caller has put into ``task.dataset`` stays there.

    mteb's own loading and transformations run on a folder as on the Hub's dataset. A folder that is a copy of the
    Hub's says by its README.md what is what; another has files called by their split (``test.parquet``), of a subset or
    of ``corpus``, ``queries``, ``qrels`` and ``top_ranked`` in folders of that name.

    Args:
        task: mteb's object; it is not changed.
        name: what it is called, None being mteb's name.
        folder: its data; None asks the Hub.
        cache: where what is made of the folder is kept for as long as the task is used; None is datasets' own place.

    Raises:
        InputError: mteb cannot load the data, or it lacks a split or a column.
    """
    name = name or task.metadata.name
    task = copy(task)
    source = dict(task.metadata.dataset)
    place = f"{source['path']} on the Hugging Face Hub"
    preset = {key: vars(task)[key] for key in _PRESET if vars(task).get(key) is not None}
    if preset:
        source = {"path": "preset", "revision": f"preset-{digest_of(_plain(preset))}"}
        place, task.data_loaded = "the data it was given", True
    elif folder is not None:
        source["revision"] = f"local-{_digest(folder)}"
        place = str(folder)
    task.metadata = task.metadata.model_copy(update={"dataset": source})
    if not preset:
        _load(task, name, place, folder, cache)
    settings = [source["path"] if folder is None else "", source["revision"], version("mteb")]
    data = digest_of(task.metadata.name, *settings, list(task.eval_splits), list(task.hf_subsets))
    return MtebTask(name, task, place, data)


def read_methods(path: Path) -> dict[str, Method]:
    """The methods of a file that says which task gets which.

    Its one table is ``[tasks]``; keys are mteb's names of tasks, its types of tasks (``Classification``), or
    ``default``, and values are as ``--method`` takes them.

    Raises:
        MethodError: not such a file; file and key are named.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MethodError(f"the file of methods {path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise MethodError(f"{path} is not valid TOML: {error}") from None
    table = content.get("tasks")
    others = [key for key in content if key != "tasks"]
    if others or not isinstance(table, dict) or not table:
        wrong = f"unknown key '{others[0]}'" if others else "no methods"
        raise MethodError(f'{path}: {wrong}; write a table [tasks], as in Classification = "metaeol"')
    with quiet_mteb():
        classes = list(_task_classes())
    known = {DEFAULT, *(cls.metadata.name for cls in classes), *(cls.metadata.type for cls in classes)}
    methods = {}
    for key, value in table.items():
        if key not in known:
            nearest = _nearest(key, {name.lower(): name for name in known})
            raise MethodError(f"{path}, [tasks]: '{key}' is no task or type of task of mteb's ({nearest})")
        if not isinstance(value, str):
            raise MethodError(f'{path}, [tasks]: {key} must be a method\'s name, as in {key} = "metaeol"')
        try:
            methods[key] = find_method(value)
        except MethodError as error:
            raise MethodError(f"{path}, [tasks], {key}: {error}") from None
    return methods


def method_of(task: Any, methods: Mapping[str, Method]) -> Method | None:
    """A task's method: its own, or its type's, or the default; None where there is neither."""
    keys = (task.metadata.name, task.metadata.type, DEFAULT)
    return next((methods[key] for key in keys if key in methods), None)


def _task_classes() -> Iterable[Any]:
    from mteb.get_tasks import TASK_LIST

    classes: Iterable[Any] = TASK_LIST
    return classes


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    names = [known[key] if isinstance(known[key], str) else known[key].metadata.name for key in near]
    return f"nearest: {', '.join(names)}" if names else "mteb.get_tasks() lists them"


def _check_usable(task: Any) -> None:
    name, parts = task.metadata.name, list(getattr(task, "tasks", ()))
    if task.is_aggregate or parts:
        raise InputError(
            f"{name} is a mean of other tasks; name these: {', '.join(sorted(p.metadata.name for p in parts))}"
        )
    if list(task.metadata.modalities) != ["text"]:
        raise InputError(f"{name} is a task of {' and '.join(task.metadata.modalities)}; name one of texts alone")


def _load(task: Any, name: str, place: str, folder: Path | None, cache: Path | None) -> None:
    with quiet_mteb(), TemporaryDirectory() as described:
        try:
            if folder is None:
                way_out = "give a folder with its data by --data"
                task.load_data()
            else:
                way_out = _LAYOUT
                source = {**task.metadata.dataset, "path": str(_described(folder, task, Path(described)))}
                task.metadata = task.metadata.model_copy(update={"dataset": source})
                with _local_only(cache):
                    task.load_data()
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"mteb cannot load {name} from {place} ({one_line(error)}); {way_out}") from error
    if folder is not None:
        _check_columns(task, name, folder)


@contextmanager
def _local_only(cache: Path | None) -> Iterator[None]:
    """Within the block, nothing asks the network, and datasets keeps what it makes in a folder of our own."""
    from datasets import config
    from huggingface_hub import constants

    wanted: list[tuple[Any, str, Any]] = [
        (constants, "HF_HUB_OFFLINE", True),
        (config, "HF_HUB_OFFLINE", True),
        (config, "HF_DATASETS_OFFLINE", True),
    ]
    wanted += [(config, "HF_DATASETS_CACHE", cache)] if cache is not None else []
    before = [getattr(module, name) for module, name, _ in wanted]
    for module, name, value in wanted:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(wanted, before):
            setattr(module, name, value)


def _described(folder: Path, task: Any, described: Path) -> Path:
    """The folder itself where it says what is what, else one whose README.md says so of its files.

    Left to itself, datasets does not take folders for subsets, and calls some splits by other names.
    """
    readme = folder / "README.md"
    if readme.is_file() and re.search(r"^configs:", readme.read_text(encoding="utf-8", errors="replace"), re.MULTILINE):
        return folder.resolve()
    files = [path for pattern in ("*", "*/*") for path in sorted(folder.glob(pattern)) if path.suffix in _ENDINGS]
    endings = sorted({path.suffix for path in files})
    if len(endings) != 1:
        found = (
            f"{' and '.join(endings)} files, and datasets reads one kind" if files else "no file that datasets reads"
        )
        raise InputError(f"{folder} has {found}; {_LAYOUT}")
    subsets: dict[str, dict[str, list[str]]] = {}
    for path in files:
        subset, split = path.parent.name, re.split(r"[-.]", path.name)[0]
        if path.parent == folder:
            subset = str(task.metadata.dataset.get("name", "default"))
            if _is_retrieval(task) and re.fullmatch(_RETRIEVAL_PART, path.stem):
                subset, split = path.stem, "test"
        place = glob.escape(path.resolve().as_posix())
        subsets.setdefault(subset, {}).setdefault(split, []).append(place)
    configs = [
        {"config_name": subset, "data_files": [{"split": split, "path": paths} for split, paths in splits.items()]}
        for subset, splits in subsets.items()
    ]
    named = described / str(task.metadata.name)  # datasets calls what it keeps after the folder
    named.mkdir()
    (named / "README.md").write_text(f"---\n{json.dumps({'configs': configs})}\n---\n", encoding="utf-8")
    return named


def _check_columns(task: Any, name: str, folder: Path) -> None:
    """Tell before any model is loaded what mteb would miss later, some of it after all texts are embedded."""
    wanted = [getattr(task, attribute, None) for attribute in _COLUMNS]
    wanted += [*getattr(task, "column_names", ()), "score"] if task.metadata.type == "STS" else []
    needed = [task.train_split] if hasattr(task, "train_split") else []
    if not isinstance(task.dataset, Mapping) or not task.dataset:  # a task with a loader of its own
        return
    for subset in task.hf_subsets:
        splits = task.dataset.get(subset, task.dataset)
        for split in dict.fromkeys([*needed, *task.eval_splits]):
            if split not in splits:
                raise InputError(f"{name}: {folder} has no split '{split}', but {', '.join(splits)}; {_LAYOUT}")
            rows = splits[split]
            parts = {"": (rows, wanted)}
            if _is_retrieval(task):
                parts = {f"{part} of ": (rows[part], ["id", "text"]) for part in ("corpus", "queries")}
            for part, (table, columns) in parts.items():
                lacks = [column for column in columns if isinstance(column, str) and column not in table.column_names]
                if lacks:
                    raise InputError(
                        f"{name}: {part}{split} in {folder} has no column '{lacks[0]}', but "
                        f"{', '.join(table.column_names)}; rename the one that is meant"
                    )


def _is_retrieval(task: Any) -> bool:
    from mteb.abstasks import AbsTaskRetrieval

    return isinstance(task, AbsTaskRetrieval)


def _digest(folder: Path) -> str:
    """Of all files of a folder, but for what hides."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    shown = [(path.relative_to(folder), path) for path in files]
    return digest_of([(name.as_posix(), file_sha256(path)) for name, path in shown if not _hides(name)])


def _hides(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _plain(value: Any) -> Any:
    """Data that a caller has given, as JSON takes it."""
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    return {str(key): _plain(one) for key, one in value.items()} if isinstance(value, Mapping) else value

"""The ``vidspec`` command: few verbs, each a thin layer over one function."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from engine.errors import UserError

app = typer.Typer(
    name="vidspec",
    help="Reproduce papers on self-supervised video learning from a declarative spec.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Specs = Annotated[Optional[list[str]], typer.Argument(help="Specs by name or path; the selected ones by default.")]


def main() -> None:
    """Entry of the console script: a user's mistake is a message, never a traceback."""
    try:
        app()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


@app.command()
def compile(check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if something would change.")] = False) -> None:
    """Write dvc.yaml and the stage files for the specs that params.yaml selects."""
    from engine.compile.dvcfile import dvc_text
    from engine.compile.main import compile_all, write

    root = project()
    if check:
        _, stages = compile_all(root)
        path = root / "dvc.yaml"
        if not path.exists() or path.read_text(encoding="utf-8") != dvc_text(stages):
            raise UserError("dvc.yaml does not fit specs/ and params.yaml: run `vidspec compile`")
        print(f"{len(stages)} stages; dvc.yaml is up to date")
        return
    stages, changed = write(root)
    print(f"{len(stages)} stages; dvc.yaml {'written' if changed else 'unchanged'}")


@app.command()
def plan(specs: Specs = None) -> None:
    """Show the graph of stages and the state of each: cached, or what will run and why."""
    from engine.compile.state import states
    from engine.compile.show import print_plan

    root = project()
    print_plan(root, states(root, _stages(specs)))


@app.command()
def repro(
    targets: Annotated[Optional[list[str]], typer.Argument(help="Stages to bring up to date; all by default.")] = None,
    setting: Annotated[Optional[list[str]], typer.Option("-S", "--set", help="spec.knob=value, as in `dvc exp run`.")] = None,
    temp: Annotated[bool, typer.Option("--temp", help="As a DVC experiment in a temporary checkout.")] = False,
    queue: Annotated[bool, typer.Option("--queue", help="Queue it; `dvc queue start` runs what is queued.")] = False,
    name: Annotated[Optional[str], typer.Option("--name", "-n", help="Name of the experiment.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=0, help="Stages at once; 0: one with a GPU, else one a core, 4 at most.")] = 1,
) -> None:
    """Edit knobs if asked to, compile, run what is stale, and print the tables."""
    from engine.jobs import default_jobs
    from engine.repro import record_cache_hits, run_dvc

    if temp and queue:
        raise UserError("--temp and --queue exclude each other: queued experiments run in temporary checkouts anyway")
    root = project()
    if jobs > 1 and (temp or queue):
        raise UserError("--jobs runs stages of this workspace; `dvc queue start --jobs` runs queued experiments at once")
    where = "temp" if temp else "queue" if queue else "workspace"
    done = run_dvc(root, setting or [], where, targets or [], name, jobs or default_jobs())
    if queue:
        print("`dvc queue start` runs what is queued; `dvc queue status` shows it")
    elif temp:
        print("`dvc exp show` lists experiments, `vidspec table --exp NAME` shows their tables")
    else:
        record_cache_hits(root, done)
        _tables(root, None, [], "terminal")
    if not queue:
        _mirror()
        print("Runs, curves and pictures: `make ui` (or `vidspec ui`) opens the MLflow UI")
    raise typer.Exit(done.status)


@app.command()
def table(
    specs: Specs = None,
    exp: Annotated[Optional[list[str]], typer.Option("--exp", "-e", help="DVC experiment or git revision; several to compare.")] = None,
    format: Annotated[str, typer.Option("--format", "-f", help="terminal, md, csv, tex, html or json.")] = "terminal",
) -> None:
    """Print the tables: the paper's values beside the reproduced ones, and the verdicts on its claims."""
    _tables(project(), specs, exp or [], format)


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port on 127.0.0.1; another one is taken if it is in use.")] = 5000) -> None:
    """Open the MLflow UI on the store of this checkout."""
    from engine.run.home import home
    from engine.track.ui import serve

    _sync()
    raise typer.Exit(serve(home(), port))


@app.command()
def gc(yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False) -> None:
    """Delete packed frames and checkpoints that no result needs any more."""
    from engine.gc import collect, delete

    found = collect(project())
    total = sum(item.size for item in found)
    for item in found:
        print(f"{item.size / 2**20:10.1f} MiB  {item.path}  ({item.why})")
    print(f"{len(found)} files, {total / 2**20:.1f} MiB in all")
    if found and (yes or typer.confirm("Delete them?")):
        delete(found)


@app.command()
def doctor() -> None:
    """Check this machine: Python, torch, CUDA, codecs, data roots, MLflow store, disk."""
    from rich.console import Console
    from rich.text import Text

    from engine.doctor import checks

    style = {"ok": "green", "note": "yellow", "bad": "red"}
    console, bad = Console(soft_wrap=True, highlight=False), 0
    for check in checks(_data_sets()):
        console.print(Text.assemble((f"{check.verdict:5}", style[check.verdict]), f"{check.what}: {check.message}"))
        bad += check.verdict == "bad"
    raise typer.Exit(1 if bad else 0)


@app.command()
def schema(check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if the file is not up to date.")] = False) -> None:
    """Write specs/schema.json, with which editors complete and check specs."""
    from engine.compile.dvcfile import write_if_changed
    from engine.compile.schema import schema_text

    path = project() / "specs" / "schema.json"
    if check and (not path.exists() or path.read_text(encoding="utf-8") != schema_text()):
        raise UserError("specs/schema.json is not up to date: run `vidspec schema`")
    if not check:
        print(f"specs/schema.json {'written' if write_if_changed(path, schema_text()) else 'unchanged'}")


def project() -> Path:
    """The checkout that is the working directory. Raises UserError outside one."""
    root = Path.cwd()
    if not (root / "params.yaml").exists() or not (root / "specs").is_dir():
        raise UserError(f"{root} is no Vidspec checkout (no params.yaml, specs/): go to one")
    return root


def _stages(specs: list[str] | None) -> list:
    from engine.compile.main import compile_all
    from engine.compile.plan import expand
    from engine.spec.load import find_spec, load_params, load_study

    root = project()
    if not specs:
        return compile_all(root)[1]
    params = load_params(root)
    return expand([load_study(find_spec(root, name), params) for name in specs])


def _tables(root: Path, specs: list[str] | None, revisions: list[str], format: str) -> None:
    from engine.report.show import show_tables
    from engine.spec.load import find_spec, load_params, load_selected, load_study

    if specs:
        params = load_params(root)
        studies = [load_study(find_spec(root, name), params) for name in specs]
    else:
        studies = load_selected(root)
    for study in studies:
        show_tables(root, study, revisions, format)


def _mirror() -> None:
    """Let MLflow follow in the background."""
    from engine.run.home import home
    from engine.run.local import load_local
    from engine.track.mirror import ensure_mirror

    if load_local().mlflow:
        ensure_mirror(home())


def _sync() -> None:
    """Bring MLflow up to date; a store that cannot be reached is said, and no reason to fail."""
    from engine.run.home import home
    from engine.run.local import load_local
    from engine.track.mirror import sync

    if load_local().mlflow:
        try:
            sync(home())
        except UserError as error:
            print(f"warning: {error}", file=sys.stderr)


def _data_sets() -> dict[str, str]:
    """Data sets that the selected specs need roots for."""
    from engine.spec.load import load_selected

    try:
        studies = load_selected(project())
    except UserError as error:
        print(error, file=sys.stderr)
        return {}
    return {
        name: study.name
        for study in studies
        for data in (study.data, *study.datasets.values())
        if (name := data.root_name())
    }


if __name__ == "__main__":
    main()

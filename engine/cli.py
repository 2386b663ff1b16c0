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

    print_plan(states(project(), _stages(specs)))


@app.command()
def repro(
    targets: Annotated[Optional[list[str]], typer.Argument(help="Stages to bring up to date; all by default.")] = None,
    setting: Annotated[Optional[list[str]], typer.Option("-S", "--set", help="spec.knob=value, as in `dvc exp run`.")] = None,
    temp: Annotated[bool, typer.Option("--temp", help="As a DVC experiment in a temporary checkout.")] = False,
    queue: Annotated[bool, typer.Option("--queue", help="Queue it; `dvc queue start` runs what is queued.")] = False,
    name: Annotated[Optional[str], typer.Option("--name", "-n", help="Name of the experiment.")] = None,
) -> None:
    """Edit knobs if asked to, compile, run what is stale, and print the tables."""
    from engine.repro import repro as run
    from engine.track.cached import record_cache_hits

    if temp and queue:
        raise UserError("--temp and --queue exclude each other: queued experiments run in temporary checkouts anyway")
    root = project()
    where = "temp" if temp else "queue" if queue else "workspace"
    status, key, stages = run(root, setting or [], where, targets or [], name)
    if where == "queue":
        raise typer.Exit(status)
    _sync()
    if where == "workspace":
        record_cache_hits(root, stages, key)
        _print_tables(root, None)
        print("All runs, curves and pictures: `make ui` or `vidspec ui`")
    else:
        print("`dvc exp show` lists experiments, `vidspec table --exp NAME` shows their tables, `vidspec ui` their runs")
    if status:
        raise typer.Exit(status)


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


if __name__ == "__main__":
    main()

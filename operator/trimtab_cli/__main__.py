"""kubectl-trimtab: `kubectl trimtab status|explain|trials|approve|rollback|replay`."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, RenderableType

from trimtab_api import OptimizationPolicy, OptimizationTrial
from trimtab_api.trial import TrialApproval
from trimtab_cli.cluster import Cluster, ClusterError
from trimtab_cli.documents import explanation_document, policies_document, policy_document
from trimtab_cli.pages import explanation_page, policies_page, policy_page, trials_page
from trimtab_cli.refusals import cannot_be_restored, cannot_be_said

PIPED_COLUMNS = 10_000

app = typer.Typer(
    name="kubectl-trimtab",
    help="What Trimtab knows about your policies, and why it acts or does not; and your word on what it does.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Output(StrEnum):
    """How an answer is written."""

    TEXT = "text"
    JSON = "json"


Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace; else that of the context.")]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Every namespace.")]
Kubeconfig = Annotated[str | None, typer.Option(help="Path of the kubeconfig; else as kubectl finds it.")]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig; else the current one.")]
Format = Annotated[Output, typer.Option("--output", "-o", help="text for people, json for scripts.")]


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="A policy; else all of the namespace.")] = None,
    *,
    namespace: Namespace = None,
    all_namespaces: Everywhere = False,
    output: Format = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show policies in one line each, or one policy with conditions, objectives and scorecard."""
    if name is not None and all_namespaces:
        raise typer.BadParameter("a NAME is looked for in one namespace: give -n NAMESPACE instead of -A")
    cluster, now = connect(kubeconfig, context), datetime.now(UTC)
    if name is not None:
        policy = cluster.policy(namespace or cluster.namespace, name)
        _print(policy_document(policy) if output is Output.JSON else policy_page(policy, now))
        return
    where = None if all_namespaces else namespace or cluster.namespace
    found = cluster.policies(where)
    if output is Output.JSON:
        _print(policies_document(found))
    elif found:
        _print(policies_page(found, now))
    else:
        _print(f"No policies found in {_place(where)}.")


@app.command()
def explain(
    name: Annotated[str, typer.Argument(help="A policy.")],
    *,
    namespace: Namespace = None,
    output: Format = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Say why the operator does what it does: decision, evidence with queries, obstacles, scorecard, history."""
    cluster = connect(kubeconfig, context)
    policy = cluster.policy(namespace or cluster.namespace, name)
    trial = _current_trial(cluster, policy)
    page = explanation_page(policy, trial, datetime.now(UTC))
    _print(explanation_document(policy, trial) if output is Output.JSON else page)


@app.command()
def trials(
    *,
    namespace: Namespace = None,
    all_namespaces: Everywhere = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """List the changes that were ever tried."""
    cluster = connect(kubeconfig, context)
    where = None if all_namespaces else namespace or cluster.namespace
    found = cluster.trials(where)
    _print(trials_page(found, datetime.now(UTC)) if found else f"No trials found in {_place(where)}.")


@app.command()
def approve(
    trial: Annotated[str, typer.Argument(help="A trial that waits for it.")],
    *,
    deny: Annotated[bool, typer.Option("--deny", help="Say no instead: the trial ends Denied.")] = False,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Say yes, once, to a change that waits for a person; the operator then tries it."""
    cluster = connect(kubeconfig, context)
    where, word = namespace or cluster.namespace, TrialApproval.DENIED if deny else TrialApproval.APPROVED
    found = cluster.trial(where, trial)
    if found.spec.approval is not word:
        refused = cannot_be_said(found)
        if refused is not None:
            raise ClusterError(refused)
        cluster.say(where, trial, word)
    _print(f"trial {trial} ({found.spec.change_summary}): {word}")


@app.command()
def rollback(
    policy: Annotated[str, typer.Argument(help="A policy.")],
    *,
    to: Annotated[str | None, typer.Option(help="The trial whose settings are restored, and held.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on trying from what is in force.")] = False,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Go back to the settings after an earlier trial, and hold them until --resume."""
    if (to is None) is not resume:
        raise typer.BadParameter("say either --to TRIAL (see `kubectl trimtab trials`) or --resume")
    cluster = connect(kubeconfig, context)
    where = namespace or cluster.namespace
    found = cluster.policy(where, policy)
    if to is not None:
        refused = cannot_be_restored(cluster.trial(where, to), policy)
        if refused is not None:
            raise ClusterError(refused)
    if found.spec.rollback_to != to:
        cluster.roll_back(where, policy, to)
    _print(f"policy {policy}: {'goes on trying' if to is None else f'goes back to the settings after trial {to}'}")


@app.command()
def replay(
    file: Annotated[
        Path | None, typer.Argument(help="JSON lines that the operator recorded.", exists=True, dir_okay=False)
    ] = None,
    *,
    policy: Annotated[Path | None, typer.Option(help="A policy's YAML, to be played on a simulated fleet.")] = None,
    trace: Annotated[Path | None, typer.Option(help="Traffic for it: CSV (.gz) of t_s, in_tok, out_tok.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML page about it here.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures here.")] = None,
    times: Annotated[int, typer.Option(min=1, help="Each request of the trace so many times.")] = 1,
    startup_seconds: Annotated[float, typer.Option(min=0.0, help="From a replica's order until it serves.")] = 120.0,
    seed: Annotated[int, typer.Option(min=0, help="Of what is random.")] = 0,
) -> None:
    """Run recorded decisions again, or play a policy on recorded traffic.

    Exit 1: something differs, or an objective is missed; 2: a file cannot be used.
    """
    # What is imported here brings numpy, which the other commands spare.
    if file is not None and policy is None and trace is None:
        from trimtab_replay.__main__ import main as run  # noqa: PLC0415

        raise typer.Exit(run(["--", str(file)]))
    if file is not None or policy is None or trace is None:
        raise typer.BadParameter("give either FILE, or --policy and --trace")
    try:
        from trimtab_replay.simulate import Wish, simulate  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise typer.BadParameter(f"{error.name} is missing: pip install 'trimtab[operator,replay]'") from error
    raise typer.Exit(simulate(Wish(policy, trace, report, json, times, startup_seconds, seed)))


def connect(kubeconfig: str | None, context: str | None) -> Cluster:
    """Connect with the person's kubeconfig. Raises ClusterError."""
    from trimtab_cli import api_server  # noqa: PLC0415 - the client takes longer to import than the rest to run

    return api_server.connect(kubeconfig, context)


def _current_trial(cluster: Cluster, policy: OptimizationPolicy) -> OptimizationTrial | None:
    """Return the trial that status points to; None where it points to none, or to one that somebody deleted."""
    if policy.status.current_trial is None:
        return None
    found = cluster.trials(policy.metadata.namespace)
    return next((trial for trial in found if trial.metadata.name == policy.status.current_trial), None)


def _place(namespace: str | None) -> str:
    return "any namespace" if namespace is None else f"namespace {namespace}; -A looks everywhere"


def _print(page: RenderableType) -> None:
    if isinstance(page, str):
        print(page)
        return
    console = Console()
    if console.is_terminal:
        console.print(page, crop=False)
        return
    # Piped output is for programs and files: it is neither folded nor padded.
    wide = Console(width=PIPED_COLUMNS, color_system=None)
    with wide.capture() as captured:
        wide.print(page, crop=False)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def main() -> None:
    """Entry point `kubectl-trimtab`. Exit code 1 with one line that says what to do when something is refused."""
    try:
        app()
    except ClusterError as error:
        Console(stderr=True).print(f"Error: {error}", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()

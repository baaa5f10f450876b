"""kubectl-trimtab: `kubectl trimtab status|explain|trials`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from trimtab_cli.cluster import Cluster, ClusterError, connect
from trimtab_cli.pages import explanation_page, policies_page, policy_page, trials_page

app = typer.Typer(
    name="kubectl-trimtab",
    help="What Trimtab knows about your policies, and why it acts or does not.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace; else that of the context.")]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Every namespace.")]
Kubeconfig = Annotated[str | None, typer.Option(help="Path of the kubeconfig; else as kubectl finds it.")]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig; else the current one.")]


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="A policy; else all of the namespace.")] = None,
    *,
    namespace: Namespace = None,
    all_namespaces: Everywhere = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show policies in one line each, or one policy with conditions, objectives and scorecard."""
    cluster, now = _connect(kubeconfig, context), datetime.now(UTC)
    if name is not None:
        _print(policy_page(cluster.policy(namespace or cluster.namespace, name), now))
        return
    found = cluster.policies(None if all_namespaces else namespace or cluster.namespace)
    if not found:
        _print("No policies found: kubectl apply one, or look with --all-namespaces.")
        return
    _print(policies_page(found, now))


@app.command()
def explain(
    name: Annotated[str, typer.Argument(help="A policy.")],
    *,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Say why the operator does what it does: decision, evidence with queries, obstacles, history."""
    cluster = _connect(kubeconfig, context)
    _print(explanation_page(cluster.policy(namespace or cluster.namespace, name), datetime.now(UTC)))


@app.command()
def trials(
    *,
    namespace: Namespace = None,
    all_namespaces: Everywhere = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """List the changes that were ever tried."""
    cluster = _connect(kubeconfig, context)
    found = cluster.trials(None if all_namespaces else namespace or cluster.namespace)
    _print(trials_page(found, datetime.now(UTC)) if found else "No trials found.")


def _connect(kubeconfig: str | None, context: str | None) -> Cluster:
    return connect(kubeconfig, context)


def _print(page: object) -> None:
    console = Console()
    # Piped output is for programs and files: it is not folded at 80 columns.
    Console(width=None if console.is_terminal else 240).print(page)


def main() -> None:
    """Entry point `kubectl-trimtab`. Exit code 1 with the API server's sentence when something is refused."""
    try:
        app()
    except ClusterError as error:
        Console(stderr=True).print(f"Error: {error}", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()

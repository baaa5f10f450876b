"""Entry point `trimtab-engine [serve MODEL]`: reads the settings, finds the model, runs the front process."""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import os
import sys

import uvloop

from trimtab_engine.context import Context
from trimtab_engine.errors import SettingError
from trimtab_engine.front import serve
from trimtab_engine.log import Log
from trimtab_engine.model_directory import describe_model
from trimtab_engine.settings import read_settings
from trimtab_engine.variants.declared import describe_declared

_BAD_SETTINGS = 2
_COLLECT_AFTER_OBJECTS = 10_000


def main() -> int:
    """Run the engine; exit code 0 = drained, 1 = the model could not be loaded, 2 = settings that cannot be used."""
    # The tokenizer's own threads would fight the worker for the pod's CPU share.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    environ = {**os.environ, **_from_command_line()}
    log = Log()
    try:
        settings = read_settings(environ)
        descriptions = tuple(describe_model(each.source, each.name, each.version) for each in settings.models)
        declared = describe_declared(settings.declared, descriptions)
        # What is loaded now stays: the collector need not walk it, nor look at each few hundred objects of requests.
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER_OBJECTS)
        return uvloop.run(serve(Context(settings, descriptions, environ, log, _version(), declared)))
    except SettingError as error:
        log.event("settings_refused", message=str(error))
        return _BAD_SETTINGS
    except OSError as error:
        log.event("cannot_listen", message=str(error))
        return _BAD_SETTINGS


def _from_command_line() -> dict[str, str]:
    parser = argparse.ArgumentParser("trimtab-engine", description="Serve a model; settings are TRIMTAB_* variables.")
    serve_parser = parser.add_subparsers(dest="command").add_parser("serve", help="serve this model")
    serve_parser.add_argument(
        "model", help="module:factory, a directory, package:NAME or a .pt2 archive; instead of TRIMTAB_MODEL"
    )
    arguments = parser.parse_args()
    return {} if arguments.command is None else {"TRIMTAB_MODEL": arguments.model}


def _version() -> str:
    try:
        return importlib.metadata.version("trimtab")
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        return "0+source"


if __name__ == "__main__":
    sys.exit(main())

"""Entry point `trimtab-engine`: reads the settings, finds the model, runs the front process."""

from __future__ import annotations

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

_BAD_SETTINGS = 2


def main() -> int:
    """Run the engine; exit code 0 = drained, 1 = the model could not be loaded, 2 = settings that cannot be used."""
    # The tokenizer's own threads would fight the worker for the pod's CPU share.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    environ = dict(os.environ)
    log = Log()
    try:
        settings = read_settings(environ)
        description = describe_model(settings.model, settings.model_name)
        return uvloop.run(serve(Context(settings, description, environ, log, _version())))
    except SettingError as error:
        log.event("settings_refused", message=str(error))
        return _BAD_SETTINGS
    except OSError as error:
        log.event("cannot_listen", message=str(error))
        return _BAD_SETTINGS


def _version() -> str:
    try:
        return importlib.metadata.version("trimtab")
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        return "0+source"


if __name__ == "__main__":
    sys.exit(main())

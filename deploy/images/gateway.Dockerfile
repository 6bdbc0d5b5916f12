# syntax=docker/dockerfile:1
# Gateway, autoscaler and `helm test`: this project's wheel and requirements/gateway.txt, no Ray and no torch.
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

# Two layers in the end: what the lock names changes seldom and is large, the project's own code the other way round.
# Both have their bytecode: the root is read-only where they run, and a start does not compile.
FROM tools AS dependencies
ENV UV_LINK_MODE=copy
COPY requirements/gateway.txt requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv /opt/parlance \
    && uv pip sync --compile-bytecode --require-hashes --python /opt/parlance/bin/python requirements/gateway.txt

FROM dependencies AS application
RUN --mount=type=bind,from=wheel,source=/dist,target=/dist \
    uv pip install --offline --no-deps --compile-bytecode --python /opt/parlance/bin/python --prefix /app /dist/*.whl

FROM ${PYTHON}
RUN groupadd --gid 1000 parlance \
    && useradd --uid 1000 --gid 1000 --create-home --shell /usr/sbin/nologin parlance
COPY --link --from=dependencies /opt/parlance /opt/parlance
COPY --link --from=application /app /opt/parlance
ENV PATH=/opt/parlance/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/home/parlance \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /home/parlance
# A number: Kubernetes can tell that it is not root.
USER 1000:1000
# 8080 clients, 8081 operators, 8082 the autoscaler's
EXPOSE 8080 8081 8082
# Kubernetes has probes of its own.
HEALTHCHECK NONE
ENTRYPOINT ["parlance"]
CMD ["gateway", "--fleet", "/etc/parlance/fleet.yaml"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="parlance" \
      org.opencontainers.image.description="Multilingual LLM serving: gateway and autoscaler" \
      org.opencontainers.image.source="https://github.com/parlance-llm/parlance" \
      org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-SA-4.0 AND Unicode-3.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# Ray's image for LLMs with today's security updates of its system: what a scan finds in a base image that is weeks old is
# mostly there. Beside Ray's Python the fairlead command, in one of its own, for batches, from a checkout of Fairlead:
# docker build -f images/ray.Dockerfile -t REGISTRY/ray-llm:VERSION CHECKOUT
ARG BASE=docker.io/rayproject/ray-llm:2.58.0-py312-cu130
FROM ${BASE} AS build
USER 0
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY src ./src
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# versions are those of the lock; what the command does not need of it is not installed
RUN grep -E '^[a-z0-9._-]+==' requirements.lock | sed -E 's/ *\\$//' > /tmp/pinned.txt \
    && python -m venv /opt/fairlead \
    && /opt/fairlead/bin/pip install --no-cache-dir --constraint /tmp/pinned.txt .
USER 1000:100

FROM ${BASE}
USER 0
RUN apt-get update \
    && apt-get upgrade -y --no-install-recommends \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/fairlead /opt/fairlead
USER 1000:100
HEALTHCHECK NONE

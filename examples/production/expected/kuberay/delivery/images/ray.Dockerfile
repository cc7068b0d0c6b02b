# Ray's image for LLMs with today's security updates of its system: what a scan finds in a base image that is weeks old is
# mostly there. docker build -f images/ray.Dockerfile -t REGISTRY/ray-llm:VERSION images
ARG BASE=docker.io/rayproject/ray-llm:2.58.0-py312-cu130
FROM ${BASE}
USER 0
RUN apt-get update \
    && apt-get upgrade -y --no-install-recommends \
    && rm -rf /var/lib/apt/lists/*
USER 1000:100
HEALTHCHECK NONE

# The gateway, and the fairlead command, from a checkout of Fairlead:
# docker build -f images/gateway.Dockerfile -t REGISTRY/fairlead-gateway:VERSION CHECKOUT
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY src ./src
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# versions are those of the lock; what the gateway does not need of it is not installed
RUN grep -E '^[a-z0-9._-]+==' requirements.lock | sed -E 's/ *\\$//' > /tmp/pinned.txt \
    && python -m venv /opt/fairlead \
    && /opt/fairlead/bin/pip install --no-cache-dir --constraint /tmp/pinned.txt .

FROM python:3.11-slim-bookworm
COPY --from=build /opt/fairlead /opt/fairlead
ENV PATH=/opt/fairlead/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /work
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=3s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9090/healthz', timeout=2)"]
CMD ["python", "-m", "fairlead.gateway", "/etc/fairlead/gateway.json"]

# The Flask app with its dependencies (versions by hash) and the weights inside: nothing is fetched when it runs.
# docs/self-hosting.md says how to build, run, upgrade and roll back.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim AS build
COPY flask_app/requirements.lock /opt/requirements.lock
RUN python -m venv /opt/venv && \
    /opt/venv/bin/python -m pip install --quiet --no-cache-dir --only-binary :all: --require-hashes -r /opt/requirements.lock
COPY kneeoa_hub /opt/kneeoa/kneeoa_hub
COPY flask_app /opt/kneeoa/flask_app
COPY docs/schemas /opt/kneeoa/docs/schemas
RUN /opt/venv/bin/python -m compileall -q /opt/kneeoa

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="kneeoa-hub" \
      org.opencontainers.image.description="Kellgren-Lawrence grading of knee radiographs; research software, not a medical device" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/kneeoa /opt/kneeoa
RUN install -d -o 10001 -g 10001 /var/lib/kneeoa
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp KNEEOA_HOST=0.0.0.0 KNEEOA_PORT=8000 \
    HF_HOME=/var/lib/kneeoa/huggingface
WORKDIR /opt/kneeoa
USER 10001:10001
EXPOSE 8000
VOLUME /var/lib/kneeoa
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"KNEEOA_PORT\"]}/health/ready', timeout=4)"]
ENTRYPOINT ["python", "-m", "flask_app"]

# The tools: what jobs in the cluster run, `sluice features` and `sluice train`. They hold the runtime, too: a package is
# tried at its making by what will serve it. The context is the repository's root.
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}
COPY serving/requirements-tools.lock /tmp/requirements.lock
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --only-binary=:all: --require-hashes -r /tmp/requirements.lock \
    && /opt/venv/bin/pip uninstall --yes pip setuptools \
    && rm -rf /tmp/requirements.lock /root/.cache
# What an installation would have made: the command, and who adds to it.
COPY serving/tools.entry_points.txt /app/sluice_serving.dist-info/entry_points.txt
RUN printf 'Metadata-Version: 2.1\nName: sluice-serving\nVersion: 0.1.0\n' > /app/sluice_serving.dist-info/METADATA \
    && printf '#!/opt/venv/bin/python\nimport sys\n\nfrom sluice.cli import main\n\nsys.exit(main())\n' > /opt/venv/bin/sluice \
    && chmod 755 /opt/venv/bin/sluice
COPY serving/sluice /app/sluice
COPY serving/sluice_store /app/sluice_store
COPY serving/sluice_runtime /app/sluice_runtime
COPY serving/sluice_features /app/sluice_features
COPY serving/sluice_training /app/sluice_training
RUN /opt/venv/bin/python -m compileall -q /app
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    BENTOML_HOME=/tmp/bentoml \
    BENTOML_DO_NOT_TRACK=True \
    ORT_DISABLE_TELEMETRY=1
USER 65532:65532
CMD ["sluice", "--help"]

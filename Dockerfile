# Every Python service is this one image with another command: they share pipeline/ and one lock file, and one version of
# everything is one thing to test.
FROM python:3.13-slim AS build
COPY requirements.txt .
ENV PIP_CACHE_DIR=/var/cache/pip
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv install --disable-pip-version-check --no-compile --only-binary :all: --require-hashes -r requirements.txt

FROM python:3.13-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin service
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY pipeline pipeline
COPY migrate migrate
COPY generator generator
COPY bridge bridge
COPY forwarder forwarder
COPY writer writer
COPY api api
# Compiled here, because the root file system of a running container is read-only.
RUN python -m compileall -q /opt/venv/lib .
USER 10001

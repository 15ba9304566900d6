# The command, its emulator and its metrics in one image; nothing in it needs root or a writable root file system.
#
#   docker build -t venice-batch .
#   docker run --rm --read-only --tmpfs /tmp venice-batch                 # the demo, offline, at no cost: exit 3, see CMD
#   docker run --rm --read-only --tmpfs /tmp --stop-timeout 60 --user "$(id -u):$(id -g)" -v "$PWD:/jobs" \
#     -v "$PWD/api-key:/run/secrets/api-key:ro" -e VENICE_API_KEY_FILE=/run/secrets/api-key \
#     venice-batch run job.yaml --yes
#
# --user: the finished pictures in $PWD are then yours; the user of the image, 10001, could not write there.
#
# A tag moves with every rebuild of the base. To build the same bytes again, name what the tag points to now:
#   docker buildx imagetools inspect python:3.12-slim-bookworm --format '{{.Manifest.Digest}}'
#   docker build --build-arg PYTHON=python:3.12-slim-bookworm@sha256:... -t venice-batch .
ARG PYTHON=python:3.12-slim-bookworm

# Stage one has the source tree and pip; only /opt/venice-batch and the photos leave it.
FROM ${PYTHON} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY pipeline ./pipeline
# --without-pip: what runs in production cannot install anything, and has less to be patched.
RUN python -m pip wheel --no-cache-dir --disable-pip-version-check --no-deps --wheel-dir /dist . \
 && python -m venv --without-pip /opt/venice-batch \
 && python -m pip --python /opt/venice-batch/bin/python install --no-cache-dir --disable-pip-version-check \
    "$(echo /dist/*.whl)[emulator,metrics]" \
 && /opt/venice-batch/bin/python -m venice_batch.emulator.photos /demo/photos

FROM ${PYTHON}
LABEL org.opencontainers.image.title="venice-batch" \
      org.opencontainers.image.description="Batch image pipelines over the Venice API: priced first, resumable, never buying twice" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
# A number, so that Kubernetes can see that it is not root (runAsNonRoot) and volumes can be given to it.
RUN groupadd --gid 10001 venice && useradd --uid 10001 --gid 10001 --create-home --shell /usr/sbin/nologin venice
COPY --from=build /opt/venice-batch /opt/venice-batch
COPY --from=build /demo/photos /opt/venice-batch/demo/photos
COPY configs /opt/venice-batch/configs
# TMPDIR: pictures in work, and the working copy of a state on S3: mount a tmpfs or a volume there, of some gigabytes.
ENV PATH=/opt/venice-batch/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TMPDIR=/tmp
USER 10001:10001
# Where jobs are mounted, so that `run job.yaml` finds them. Not writable unless mounted so.
WORKDIR /jobs
# The command is the first process and gets the signal itself: no shell in between. Calls in flight get `run.drain`
# (25 s) to land, so allow more than the 10 s of `docker stop`: --stop-timeout 60.
STOPSIGNAL SIGTERM
# Cheap, as it is repeated: that Python, package and user fit together. Key, network, buckets, disk and clock are asked
# once, before the first night: `docker run ... venice-batch doctor`. A served emulator is asked itself, see compose.yaml.
HEALTHCHECK --interval=5m --timeout=30s --start-period=10s CMD ["venice-batch", "--version"]
ENTRYPOINT ["venice-batch"]
# Without arguments: the drawn catalogue through the demo job. Two of its twelve photos are bad on purpose: exit code 3.
# Mount a writable folder at /tmp/finished to keep the pictures.
CMD ["run", "/opt/venice-batch/configs/demo.yaml", "--set", "output.path=/tmp/finished", "--yes"]

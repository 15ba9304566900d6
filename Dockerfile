# Two stages: the second has no compiler, no package cache and no source tree, only what runs.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY pipeline ./pipeline
RUN python -m venv /opt/venice-batch \
 && /opt/venice-batch/bin/pip install --no-cache-dir --disable-pip-version-check '.[emulator]'

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 venice
COPY --from=build /opt/venice-batch /opt/venice-batch
COPY --chown=venice configs /home/venice/configs
ENV PATH=/opt/venice-batch/bin:$PATH PYTHONUNBUFFERED=1
USER venice
WORKDIR /home/venice
RUN python -m pipeline.emulator.photos demo/photos
ENTRYPOINT ["venice-batch"]
# Without arguments: the drawn catalogue through the demo job on the bundled emulator, at no cost.
# With arguments: any command, such as `run /jobs/nightly.yaml` with the job and the pictures mounted.
CMD ["run", "configs/demo.yaml"]

# `anyres serve` on a CPU. docs/serving.md tells how it is built and run.
FROM python:3.11-slim AS build

# The native kernels for quantised weights are compiled while the package is installed.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

RUN python -m venv /opt/anyres
WORKDIR /src
COPY constraints.txt ./

# torch without CUDA, by itself: the other packages are not looked for there.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN /opt/anyres/bin/pip install --no-cache-dir --no-deps --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"

COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY anyres anyres
RUN /opt/anyres/bin/pip install --no-cache-dir -c constraints.txt '.[server]'


FROM python:3.11-slim

COPY --from=build /opt/anyres /opt/anyres
RUN useradd --uid 10001 --no-create-home --home-dir /cache --shell /usr/sbin/nologin anyres \
    && mkdir /cache /models \
    && chown anyres /cache

ENV PATH=/opt/anyres/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ANYRES_CACHE=/cache \
    HF_HOME=/cache/hub \
    ANYRES_OFFLINE=1

# Nothing is written but what is kept between runs (/cache) and what goes with one (/tmp).
USER 10001
WORKDIR /cache
VOLUME /cache
EXPOSE 8000
STOPSIGNAL SIGTERM

# Ready once the model is loaded, and no more while it goes down.
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=4)"]

ENTRYPOINT ["anyres", "serve", "--host", "0.0.0.0", "--port", "8000"]

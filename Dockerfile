# docker build --build-arg TORCH_INDEX=URL -t fenchel-stream .     (TORCH_INDEX: see the Makefile)
# docker run -v "$PWD:/stream" fenchel-stream run stream.toml

FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends make python3 python3-venv
WORKDIR /src
COPY Makefile pyproject.toml constraints.txt README.md LICENSE ./
COPY connectors connectors
COPY fenchel_stream fenchel_stream
ARG TORCH_INDEX=
RUN make install VENV=/opt/fenchel-stream TORCH_INDEX=$TORCH_INDEX

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --home-dir /stream --create-home fenchel
COPY --from=build /opt/fenchel-stream /opt/fenchel-stream
ENV PATH=/opt/fenchel-stream/bin:$PATH
USER fenchel
WORKDIR /stream
HEALTHCHECK --start-period=30s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9109/metrics', timeout=5)"]
ENTRYPOINT ["fenchel-stream"]
CMD ["--help"]

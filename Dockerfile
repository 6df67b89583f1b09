# The runner in a container. The image has no torch unless an extra asks for it:
#
#     docker build -t fenchel-stream .
#     docker build --build-arg EXTRAS=plots,torch -t fenchel-stream .
#     docker run -v "$PWD:/stream" fenchel-stream run stream.toml
#
# With --build-arg PIP_EXTRA_INDEX_URL=URL, pip also looks into that index: for a CPU build of torch.

FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends make python3 python3-venv
WORKDIR /src
COPY Makefile pyproject.toml constraints.txt README.md LICENSE ./
COPY connectors connectors
COPY fenchel_stream fenchel_stream
ARG EXTRAS=
ARG PIP_EXTRA_INDEX_URL=
RUN make install VENV=/opt/fenchel-stream EXTRAS=$EXTRAS

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

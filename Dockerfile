# vqcodec with both engines, in the versions of lock.txt: encode, decode, info, thin, verify, tokenize.
#   docker build -t vqcodec .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" vqcodec encode speech.wav speech.vqc --kbps 3
# torch comes with CUDA where its index has no other build; --build-arg ENGINE=onnx leaves torch out (a small image).
FROM python:3.11-slim AS build
ARG ENGINE=torch
WORKDIR /source
COPY pyproject.toml README.md LICENSE lock.txt requirements-onnx.txt ./
COPY vqcodec vqcodec
ENV PIP_CONSTRAINT=/source/lock.txt PIP_BUILD_CONSTRAINT=/source/lock.txt PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/vqcodec \
    && if [ "$ENGINE" = onnx ]; then \
        /opt/vqcodec/bin/pip install -r requirements-onnx.txt && /opt/vqcodec/bin/pip install --no-deps .; \
    else \
        /opt/vqcodec/bin/pip install '.[onnx,tokens]'; \
    fi

FROM python:3.11-slim
COPY --from=build /opt/vqcodec /opt/vqcodec
RUN useradd --create-home --uid 1000 vqcodec && mkdir /data && chown vqcodec /data
ENV PATH=/opt/vqcodec/bin:$PATH
USER 1000
WORKDIR /data
ENTRYPOINT ["vqcodec"]
CMD ["--help"]

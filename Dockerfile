# Build: docker build -t face-analysis .
# For a smaller image without CUDA give pip the index of CPU wheels: --build-arg PIP="--index-url ADDRESS".
# Run: docker run --rm -v "$PWD/photos:/photos:ro" face-analysis predict /photos
FROM python:3.11-slim
ARG EXTRA=all
ARG PIP=""
WORKDIR /opt/face-analysis
COPY . .
# torch comes first, so that nothing pulls another build of it.
RUN pip install --no-cache-dir -c constraints.txt ${PIP} torch \
 && pip install --no-cache-dir -c constraints.txt ".[${EXTRA}]" \
 && useradd --create-home user
USER user
WORKDIR /home/user
ENTRYPOINT ["face-analysis"]

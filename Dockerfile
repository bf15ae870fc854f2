# The slipway binary and nothing else: no shell, no package manager, not root.
#
#   docker build -t slipway:local .
#   docker run --rm -v slipway:/data \
#     -e SLIPWAY_NATS_HOST=0.0.0.0 -p 127.0.0.1:4222:4222 \
#     -e SLIPWAY_PREDICT_ADDR=0.0.0.0:8080 -p 127.0.0.1:8080:8080 \
#     slipway:local
#
# The two addresses are not set here on purpose. Slipway listens on loopback until told otherwise, and in a
# container too: with host networking, or in a Kubernetes pod, an image that listens everywhere would hand
# an open broker to the network without anybody having asked for it. compose.yaml asks for it.
#
# Versions are exact. Digests are to be added (golang:...@sha256:...) where a registry can be asked for them.

FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build
ARG TARGETOS TARGETARCH
# The compiler that is here, never a download.
ENV CGO_ENABLED=0 GOTOOLCHAIN=local
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -o /out/slipway ./cmd/slipway \
    && mkdir -p /out/data /out/tmp

FROM scratch
# Model artifacts come over https.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/slipway /slipway
# A named or anonymous volume starts as a copy of this empty folder and so belongs to the user below.
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/tmp /tmp
USER 65532:65532
ENV SLIPWAY_DATA_DIR=/data
VOLUME ["/data"]
# NATS and predictions.
EXPOSE 4222 8080
# Stopping drains: commands under way end or are handed back, predictions under way are answered.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/slipway", "health"]
ENTRYPOINT ["/slipway"]
CMD ["up"]

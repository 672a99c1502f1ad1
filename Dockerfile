# Anabranch alone, in an image that has nothing else: no shell, no libraries, no root.
#
#   docker build -t anabranch --build-arg REVISION=$(git rev-parse --short=12 HEAD) .
#   docker run --rm anabranch version

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
# Dependencies are fetched again only when they change.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The kind of machine that the image is for, which the builder sets, and the commit, since the repository itself is not sent to it.
ARG TARGETOS
ARG TARGETARCH
ARG REVISION
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH REVISION=$REVISION scripts/build-static.sh /out/anabranch

FROM scratch
# For rediss:// and Consul's https:// where no authority of your own is named.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/LICENSE /LICENSE
COPY --from=build /out/anabranch /anabranch

# In a container loopback is nobody but the container, so clients and health checks need all interfaces. The port for other regions stays
# closed to them until you say both where it is and what protects it: ANABRANCH_PEER_LISTEN=:6480 with certificates or a secret.
ENV ANABRANCH_LISTEN=:6380 ANABRANCH_ADMIN_LISTEN=:6580
EXPOSE 6380 6480 6580

# A number, so that Kubernetes can see that it is not root.
USER 65532:65532

# Healthy is who can serve clients. Links to other regions do not count: a dead region must not take this one out of service.
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 CMD ["/anabranch", "status", "--ready"]
# SIGTERM has it drain: --drain-time and --shutdown-time together must be less than what the container is given to stop (docker: 10 s).
STOPSIGNAL SIGTERM
ENTRYPOINT ["/anabranch"]
CMD ["serve"]

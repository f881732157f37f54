# Firn's image: one static binary, no shell, no root.
#
#   docker build -t firn .
#   docker run --rm -p 9092:9092 -p 8080:8080 firn
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/firn ./cmd/firn
# Volumes take over the owner of the folder that they cover.
RUN mkdir -p /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/firn /usr/bin/firn
COPY --from=build --chown=65532:65532 /out/data /var/lib/firn
USER 65532:65532
# Kafka for clients of the host (localhost), for other containers (by this one's name),
# HTTP, gossip.
EXPOSE 9092 29092 8080 7946/tcp 7946/udp
ENTRYPOINT ["/usr/bin/firn"]
CMD ["dev", "--data-dir", "/var/lib/firn", "--listeners", "HOST://0.0.0.0:9092,INTERNAL://0.0.0.0:29092", "--advertised-listeners", "HOST://localhost:9092,INTERNAL://:29092", "--http", "0.0.0.0:8080"]

# The service: one binary in a small image without a shell.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
# Dependencies first: they change less often than the service, and stay cached.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/it tests/bench \
    && echo 'fn main() {}' | tee src/main.rs tests/it/main.rs tests/bench/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked \
    && rm -r src
COPY src src
COPY migrations migrations
COPY .sqlx .sqlx
RUN touch src/main.rs src/lib.rs && cargo build --release --locked

# glibc, CA certificates and nothing else; runs as the user nonroot.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/commcare-sf-integration /usr/local/bin/commcare-sf-integration
ENTRYPOINT ["/usr/local/bin/commcare-sf-integration"]

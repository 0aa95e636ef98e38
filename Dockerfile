# The service: one binary, the few shared libraries that it names, CA certificates, and nothing else.
FROM rust:1.95-bookworm AS dependencies
WORKDIR /src
ENV SQLX_OFFLINE=true
# Dependencies first: they change less often than the service, and stay cached.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/it tests/bench \
    && for main in src/main.rs tests/it/main.rs tests/bench/main.rs; do echo 'fn main() {}' >"$main"; done \
    && touch src/lib.rs \
    && cargo build --release --locked \
    && rm -r src

FROM dependencies AS build
COPY src src
COPY migrations migrations
COPY .sqlx .sqlx
# Newer than what stood in for it, whatever the time of the checkout.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked
COPY deploy/image-root deploy/image-root
RUN deploy/image-root target/release/commcare-sf-integration /image

FROM scratch
COPY --from=build /image /
# By number: no name has to be looked up. It is `nonroot` in /etc/passwd.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/commcare-sf-integration"]

# One image for the web, images, layers, engine and redis services of docker-compose.dev.yml.
# BASE may be any Debian 12 image; where no registry can be reached, one made by mmdebstrap (docs/compose.md says how).
ARG BASE=debian:bookworm-slim
FROM ${BASE}
# One number for all services and, through the shared folders, for the host: files must belong to the same user everywhere.
ARG BERTH_UID=2375
RUN groupadd --system --gid ${BERTH_UID} berth \
 && useradd --system --uid ${BERTH_UID} --gid berth --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin berth
WORKDIR /opt/berth
COPY . .
# The same bootstrap as on a plain machine: one way to install.
RUN apt-get update -q \
 && script/bootstrap \
 && rm -rf /var/lib/apt/lists/* /root/.cache /root/.npm frontend/node_modules .berth/node
ENTRYPOINT ["script/service"]

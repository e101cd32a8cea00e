# The base image. A tag moves; to build from the same bytes each time, pin its digest, here or by
# `docker build --build-arg NODE_IMAGE=…`:
#   docker buildx imagetools inspect node:24-bookworm-slim --format '{{.Manifest.Digest}}'
#   ARG NODE_IMAGE=node:24-bookworm-slim@sha256:<that digest>
# Security updates then come only with the next digest: look for one at each release.
ARG NODE_IMAGE=node:24-bookworm-slim

# Builds with everything, then throws away what only the build needs (the devDependency `node` among it: the image
# brings its own).
FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit
COPY nest-cli.json tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build && npm prune --omit=dev --no-audit

FROM ${NODE_IMAGE}
# HOST and PORT have their defaults, so that PROXY_LISTEN_ADDR may stand in their place.
ENV NODE_ENV=production \
    DATA_DIR=/data
WORKDIR /app
RUN install -d -o node -g node -m 0700 /data
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist

# Nothing is written outside of /data: run it with a read-only root file system, as compose.yaml does.
# `node` by its number, so that an orchestrator can see that it is not root.
USER 1000:1000
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM

# Asks the gate itself whether it is ready, where its settings say that it listens.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "dist/health-check.js"]

# Node itself is process 1: it gets the SIGTERM, and drains.
CMD ["node", "dist/main.js"]

# Builds with everything, then throws away what only the build needs (the devDependency `node` among it: the image
# brings its own).
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit
COPY nest-cli.json tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build && npm prune --omit=dev --no-audit

FROM node:24-bookworm-slim
# HOST and PORT have their defaults, so that PROXY_LISTEN_ADDR may stand in their place.
ENV NODE_ENV=production \
    DATA_DIR=/data
WORKDIR /app
RUN install -d -o node -g node -m 0700 /data
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist

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

# Three stages: npm and pip and what they need stay in the first two. docs/install.md says how to run it.
FROM node:22-slim AS dashboard
WORKDIR /source/dashboard
COPY dashboard/package.json dashboard/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY dashboard ./
RUN npm run build

FROM python:3.13-slim AS build
WORKDIR /source
COPY requirements/base.txt requirements/build.txt requirements/
RUN python -m venv --without-pip /opt/tollkeeper \
    && python -m pip --python /opt/tollkeeper/bin/python install --no-cache-dir --require-hashes -r requirements/base.txt \
    && python -m pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE THIRD_PARTY.md ./
COPY tools/build_dashboard.py tools/
COPY proxy proxy
COPY --from=dashboard /source/proxy/data/dashboard proxy/data/dashboard
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m pip --python /opt/tollkeeper/bin/python install --no-cache-dir --no-deps /wheels/*.whl \
    && mkdir -m 0700 /state

FROM python:3.13-slim
COPY --from=build /opt/tollkeeper /opt/tollkeeper
COPY --from=build --chown=10001:10001 /state /var/lib/tollkeeper
COPY docker/config.yaml /etc/tollkeeper/config.yaml
ENV PATH=/opt/tollkeeper/bin:/usr/local/bin:/usr/bin:/bin HOME=/var/lib/tollkeeper PYTHONDONTWRITEBYTECODE=1 PYTHONFAULTHANDLER=1
USER 10001:10001
VOLUME /var/lib/tollkeeper
EXPOSE 8655
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["tollkeeper", "health"]
ENTRYPOINT ["tollkeeper"]
CMD ["serve", "--config", "/etc/tollkeeper/config.yaml"]

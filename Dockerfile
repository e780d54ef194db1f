# One image for web, worker, beat and migrations; docker-compose.yml says which is which.
FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements.txt /build/
RUN pip install --require-hashes --only-binary :all: --requirement /build/requirements.txt
WORKDIR /app
COPY . .
RUN python -m compileall -q apps config && deploy/collect-static.sh

FROM python:3.13-slim-bookworm
# Numbers, not names, so that an orchestrator can see that it is not root.
RUN groupadd --gid 10001 riskdesk && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin riskdesk \
    && install -d -o 10001 -g 10001 /run/riskdesk /var/lib/riskdesk/models
COPY --from=build /opt/venv /opt/venv
# Owned by root: the program cannot change itself.
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 RISKDESK_ENV=production
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=10s --start-period=40s --retries=3 CMD ["python", "deploy/probe.py", "web"]
CMD ["uvicorn", "config.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "off", \
     "--ws-per-message-deflate", "false", "--ws-max-size", "65536", "--no-access-log", "--no-server-header", "--no-proxy-headers", \
     "--timeout-graceful-shutdown", "25"]

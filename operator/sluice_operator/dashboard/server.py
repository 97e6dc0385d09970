"""Serves the page and the JSON behind it. It only ever answers GET, and has no login: by default it listens on the
pod's own loopback, which `kubectl port-forward` reaches, so that Kubernetes' permissions decide who may look.
"""

from importlib import resources

from aiohttp import web
from aiohttp.typedefs import Handler

from sluice_operator.dashboard import views
from sluice_operator.dashboard.sampler import Key, Sampler, Source
from sluice_operator.dashboard.series import Series

_PAGE = resources.files("sluice_operator.dashboard") / "page"
_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/plot.js": ("plot.js", "text/javascript"),
}
_HEADERS = {
    # Names and messages come from people's manifests: nothing but the page's own files is run or fetched.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Dashboard:
    """The web application."""

    def __init__(self, source: Source, series: Series, sampler: Sampler) -> None:
        self._source = source
        self._series = series
        self._sampler = sampler
        self._rows: dict[Key, tuple[int, views.Json]] = {}

    def application(self) -> web.Application:
        """Routes and headers."""
        app = web.Application(middlewares=[_with_headers])
        app.router.add_get("/api/models", self._models)
        app.router.add_get("/api/models/{namespace}/{name}", self._model)
        for path in _FILES:
            app.router.add_get(path, _file)
        return app

    async def _models(self, _: web.Request) -> web.Response:
        versions = sorted(self._source.versions().items())
        self._rows = {key: row for key, version in versions if (row := self._row(key, version))}
        return web.json_response([row for _, row in self._rows.values()])

    def _row(self, key: Key, version: int) -> tuple[int, views.Json] | None:
        """A model's row with its version: made anew only when the model has changed, for there may be thousands."""
        known = self._rows.get(key)
        if known and known[0] == version:
            return known
        found = self._source.find(*key)
        return (version, views.summary(found)) if found else None

    async def _model(self, request: web.Request) -> web.Response:
        key = (request.match_info["namespace"], request.match_info["name"])
        found = self._source.find(*key)
        if found is None:
            return web.json_response({"error": f"no ModelDeployment {'/'.join(key)}"}, status=404)
        self._sampler.watch(key)
        return web.json_response(views.detail(found, self._series.of(key, _after(request))))


async def serve(dashboard: Dashboard, host: str, port: int) -> web.AppRunner:
    """Listen; the caller cleans the runner up. Port 0 picks a free one.

    Raises:
        OSError: the port is taken.
    """
    runner = web.AppRunner(dashboard.application(), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner


def _after(request: web.Request) -> float:
    try:
        return float(request.query.get("after", 0))
    except ValueError as error:
        raise web.HTTPBadRequest(text="after must be a Unix time in seconds") from error


async def _file(request: web.Request) -> web.Response:
    name, kind = _FILES[request.path]
    return web.Response(body=(_PAGE / name).read_bytes(), content_type=kind, charset="utf-8")


@web.middleware
async def _with_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = web.json_response({"error": error.text or error.reason}, status=error.status)
    response.headers.update(_HEADERS)
    return response

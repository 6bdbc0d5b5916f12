"""Figures of keys, tenants, certificates and traces: gateways that are configured for them."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from observability import metrics
from observability.labels import MAX_TENANTS
from tests.integration.gateway.conftest import fleet
from tests.support import certificates
from tests.support.engine import Engine
from tests.support.gateway import GatewayProcess
from tests.support.scrape import Scrape, Watch

pytestmark = pytest.mark.integration

TODAY = datetime.now(UTC).date()
BODY = {"model": "big", "messages": [{"role": "user", "content": "Kva er ein fjord, og korleis vert han til?"}]}


def key(name, tenant, **more):
    return {"name": name, "tenant": tenant, "sha256": hashlib.sha256(name.encode()).hexdigest(), **more}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory, engines):
    """A gateway with keys of all kinds; a key is its own name here."""
    soon, later = str(TODAY + timedelta(days=3)), str(TODAY + timedelta(days=30))
    keys = [
        key("good", "acme", expires=later),
        key("sooner", "acme", expires=soon),
        key("old", "acme", expires=str(TODAY)),
        key("gone", "acme", revoked=True),
        key("free", "beta"),
        key("small-only", "beta", models=["small"]),
        *(key(f"key-{number}", f"tenant-{number}", expires=later) for number in range(MAX_TENANTS)),
        key("last", "late", expires=soon),
    ]
    text = yaml.safe_dump({"version": 1, "tenants": {"acme": {"class": "gold"}}, "keys": keys})
    folder = tmp_path_factory.mktemp("keyed")
    (folder / "keys.yaml").write_text(text)
    gateway = GatewayProcess(folder, fleet(*engines, keys_file="keys.yaml"))
    yield gateway
    gateway.stop()


def call(gateway, name, **over):
    return gateway.post("/v1/chat/completions", BODY | over, **({"authorization": f"Bearer {name}"} if name else {}))


def test_refusals_have_a_cause_that_the_caller_is_not_told(keyed):
    watch = Watch(keyed)
    told = {name: call(keyed, name).json["error"] for name in ("old", "gone", "never-made", "")}
    assert told["old"] == told["gone"] == told["never-made"]
    assert call(keyed, "small-only").status == 403
    assert keyed.get("/v1/models", authorization="Bearer old").status == 401
    added = watch.added()
    counted = {labels["reason"]: value for labels, value in added.matching(metrics.KEY_REFUSALS.name)}
    assert counted == {"missing": 1, "unknown": 1, "expired": 2, "revoked": 1, "model_not_allowed": 1}
    assert added.get(metrics.TENANT_REQUESTS, tenant="anonymous", outcome="refused") == 4
    assert added.get(metrics.TENANT_REQUESTS, tenant="beta", outcome="refused") == 1
    assert added.get(metrics.ERRORS, code="invalid_api_key") == 4


def test_tenants_have_their_own_figures_and_those_beyond_the_limit_share_one(keyed):
    watch = Watch(keyed)
    spent = {}
    for name, tenant in (
        ("good", "acme"),
        ("free", "beta"),
        ("key-3", "tenant-3"),
        ("key-99", "other"),
        ("last", "other"),
    ):
        got = call(keyed, name)
        assert got.status == 200
        spent[tenant] = spent.get(tenant, 0) + round(got.json["usage"]["cost"] * 1e9)
    added = watch.added()
    for tenant, nano_usd in spent.items():
        assert added.get(metrics.TENANT_COST, tenant=tenant) * 1e9 == pytest.approx(nano_usd, abs=1e-3)
    assert added.get(metrics.TENANT_REQUESTS, tenant="other", outcome="answered") == 2
    assert added.get(metrics.REQUESTS, tenant_class="gold") == 1
    assert added.get(metrics.REQUESTS, tenant_class="default") == 4
    tenants = {labels["tenant"] for labels, _ in added.matching(metrics.TENANT_REQUESTS.name)}
    assert tenants >= {"acme", "beta", "other", "anonymous"}
    assert len(tenants) == MAX_TENANTS + 2


def test_the_next_key_to_expire_is_a_working_one(keyed):
    scrape = Scrape.of(keyed)
    midnight = datetime.combine(TODAY + timedelta(days=3), datetime.min.time(), UTC).timestamp()
    assert scrape.get(metrics.KEY_EXPIRY, tenant="acme") == midnight
    assert scrape.get(metrics.KEY_EXPIRY, tenant="other") == midnight
    assert not list(scrape.matching(metrics.KEY_EXPIRY.name, tenant="beta"))
    assert scrape.get(metrics.INPUT_TIME, input="keys") > 0


def test_an_https_upstreams_certificate_says_when_it_expires(tmp_path, pair):
    certificate = certificates.make(tmp_path, days=20)
    engine = Engine(certificate.server())
    described = fleet(*pair)
    described["models"].append(
        {"use": "gemma-2-9b-it", "id": "other", "upstream": {"base_url": engine.url, "model": "x"}}
    )
    gateway = GatewayProcess(tmp_path, described, environ={"SSL_CERT_FILE": str(certificate.file)})
    try:
        assert not list(Scrape.of(gateway).matching(metrics.CERTIFICATE_EXPIRY.name)), "nobody has connected"
        assert gateway.chat(model="other").status == 200
        found = {labels["model"]: at for labels, at in Scrape.of(gateway).matching(metrics.CERTIFICATE_EXPIRY.name)}
        assert found == {"other": certificate.expires}
    finally:
        gateway.stop()
        engine.stop()


def test_a_traced_requests_buckets_name_its_trace(tmp_path, pair):
    traces = {"endpoint": "http://127.0.0.1:9/v1/traces"}  # nobody takes them: the metrics have the names all the same
    gateway = GatewayProcess(tmp_path, fleet(*pair, traces=traces))
    try:
        trace = "0af7651916cd43dd8448eb211c80319c"
        headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        assert gateway.post("/v1/chat/completions", BODY | {"stream": True}, **headers).status == 200
        got = gateway._request(gateway.admin_port, "GET", "/metrics", None, {"accept": "application/openmetrics-text"})
        assert got.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        families = {family.name: family for family in text_string_to_metric_families(got.body.decode())}
        for metric in (metrics.TTFT, metrics.DURATION, metrics.OVERHEAD):
            named = [s.exemplar.labels for s in families[metric.name].samples if s.exemplar is not None]
            assert named == [{"trace_id": trace}], metric.name
        assert trace not in gateway.admin("/metrics").body.decode()
    finally:
        gateway.stop()

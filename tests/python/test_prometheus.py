"""Metrics of desks and books, as a scraper reads them."""

import sys

import pytest

from rampmeter import Gate, Outcomes, Policy
from rampmeter.dynamic import Curve, DynamicBatcher, DynamicOptions
from rampmeter.integrations.prometheus import Collector

client = pytest.importorskip("prometheus_client")
parser = pytest.importorskip("prometheus_client.parser")

POLICY = Policy.from_toml(
    "[limits]\naccounts_max = 3\n"
    "[[class]]\nname = 'chat'\nttft_target_s = 2.0\ntpot_target_ms = 50\n"
    "[[account]]\nname = 'research'\n"
)
SECOND = 10**9


def scraped(*arguments, **more):
    """Every sample by name and labels."""
    registry = client.CollectorRegistry()
    registry.register(Collector(*arguments, **more))
    text = client.generate_latest(registry).decode()
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_desks():
    gate = Gate(POLICY, servers=1)
    other = Gate(POLICY, servers=0)
    everyone = gate.open_account()
    gate.admit(0, class_index=0, account=everyone)
    other.admit(0, class_index=0, account=other.open_account())
    batcher = DynamicBatcher(DynamicOptions([Curve(fixed_s=1.0)], batch_size_max=4))
    seen = scraped({"front": gate, "back": other, "embed": batcher})
    assert seen["rampmeter_gate_running", "front"] == 1
    assert seen["rampmeter_gate_admitted_total", "front"] == 1
    assert seen["rampmeter_gate_shed_total", "back", "no_servers"] == 1
    assert seen["rampmeter_gate_shed_total", "front", "no_servers"] == 0
    assert seen["rampmeter_dynamic_requests_max", "embed"] == 16_384
    assert seen["rampmeter_dynamic_batches_total", "embed"] == 0


def test_books():
    books = Outcomes(POLICY, account_histograms=True)
    for ttft_s, account_index in ((0.3, 0), (0.7, 0), (400.0, 1)):
        at_ns = int(ttft_s * SECOND)
        books.record(
            class_index=0,
            account_index=account_index,
            arrival_ns=0,
            first_scheduled_ns=0,
            first_token_ns=at_ns,
            ended_ns=at_ns,
            output_tokens=1,
        )
    books.record(class_index=0, account_index=1, arrival_ns=0, ended_ns=5, status="refused")
    books.add_gpu_busy(3 * SECOND)
    seen = scraped(outcomes=books, policy=POLICY)
    assert seen["rampmeter_requests_total", "chat", "completed"] == 3
    assert seen["rampmeter_requests_total", "chat", "refused"] == 1
    assert seen["rampmeter_attained_total", "chat"] == 2
    assert seen["rampmeter_account_requests_total", "completed", "research"] == 2
    assert seen["rampmeter_account_requests_total", "", "refused"] == 1
    buckets = {
        bound: seen["rampmeter_ttft_seconds_bucket", *sorted(("chat", bound))]
        for bound in ("0.25", "0.5", "1.0", "250.0", "500.0", "+Inf")
    }
    assert list(buckets.values()) == [0, 1, 2, 2, 3, 3]
    assert seen["rampmeter_ttft_seconds_sum", "chat"] == pytest.approx(401.0)
    assert seen["rampmeter_ttft_seconds_count", "chat"] == 3
    assert seen["rampmeter_slowdown_ratio_count", "chat"] == 3
    assert seen["rampmeter_account_ttft_seconds_count", "research"] == 2
    assert seen["rampmeter_gpu_busy_seconds_total",] == 3
    with pytest.raises(TypeError, match="policy"):
        Collector(outcomes=books)


def test_accounts_have_distributions_only_if_they_were_kept():
    seen = scraped(outcomes=Outcomes(POLICY), policy=POLICY)
    assert not any(name.startswith("rampmeter_account_ttft") for name, *_ in seen)
    assert seen["rampmeter_account_requests_total", "completed", "research"] == 0


def test_names_follow_the_conventions():
    """Lower case, base units, and no counter without `_total`."""
    registry = client.CollectorRegistry()
    desks = {"front": Gate(POLICY, servers=1)}
    registry.register(Collector(desks, outcomes=Outcomes(POLICY), policy=POLICY))
    openmetrics = pytest.importorskip("prometheus_client.openmetrics.exposition")
    # Its writer refuses what the format does not allow.
    assert openmetrics.generate_latest(registry).endswith(b"# EOF\n")
    for family in registry.collect():
        assert family.name == family.name.lower()
        assert not family.name.endswith(("_ns", "_ms", "_total", "_s"))
        assert family.documentation


def test_without_the_client_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client.core", None)
    with pytest.raises(ImportError):
        Collector()

// The same engine as in examples/c/batch.c, with objects that end themselves.
#include <cstdio>
#include <utility>
#include <vector>

#include <rampmeter.hpp>

namespace {

int fail(const char *what, const rampmeter::Error &error) {
    std::fprintf(stderr, "%s: %s\n", what, error.text());
    return 1;
}

}  // namespace

int main() {
    rampmeter::Error error;
    rampmeter::Policy policy;
    if (rampmeter_policy_preset("no such preset", policy.out(), error.out()) !=
            RAMPMETER_STATUS_E_NAME ||
        policy) {
        return fail("a policy out of nothing", error);
    }
    const char document[] = "[[account]]\nname = \"search\"\n";
    if (rampmeter_policy_from_toml(document, sizeof document - 1, policy.out(), error.out())) {
        return fail("policy", error);
    }

    auto engine = rampmeter::sized<rampmeter_engine>();
    rampmeter::Batcher batcher;
    if (rampmeter_engine_named("qwen3-32b", &engine, error.out()) ||
        rampmeter_batcher_create(policy.get(), &engine, batcher.out(), error.out())) {
        return fail("batcher", error);
    }

    auto request = rampmeter::sized<rampmeter_submission>();
    request.prompt_tokens = 300;
    request.output_tokens_max = 10;
    rampmeter_admission admission;
    if (rampmeter_batcher_policy_account(batcher.get(), 0, &request.account, error.out()) ||
        rampmeter_batcher_submit(batcher.get(), 5, &request, &admission, error.out())) {
        return fail("submit", error);
    }

    auto stats = rampmeter::sized<rampmeter_stats_batcher>();
    if (rampmeter_batcher_stats(batcher.get(), &stats, error.out())) {
        return fail("stats", error);
    }
    std::vector<rampmeter_plan_entry> entries(stats.running_max);
    std::vector<rampmeter_preemption> preempted(stats.running_max);
    std::vector<rampmeter_expiry> expired(stats.running_max);
    auto plan = rampmeter::sized<rampmeter_plan>();
    plan.capacity = stats.running_max;
    plan.entries = entries.data();
    plan.preempted = preempted.data();
    plan.expired = expired.data();
    auto formed = rampmeter::sized<rampmeter_formed>();
    if (rampmeter_batcher_form(batcher.get(), 5, &plan, &formed, error.out())) {
        return fail("form", error);
    }
    std::printf("%u of %u waiting run: %u tokens\n", formed.entries_len, stats.waiting,
                formed.prefill_tokens);

    // Owners move; what was moved from is empty.
    rampmeter::Batcher moved = std::move(batcher);
    return formed.prefill_tokens == 300 && moved && !batcher ? 0 : 1;
}

/* The calls of a running host, in the order of crates/ffi/examples/overhead.rs: that program makes the
 * same ones from Rust, and overhead.sh takes the difference in instructions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rampmeter.h>

#define OK(call)                                      \
    do {                                              \
        if ((call) != RAMPMETER_STATUS_OK) {          \
            fprintf(stderr, "%s failed\n", #call);    \
            exit(1);                                  \
        }                                             \
    } while (0)

enum { ROUNDS = 1000, SEATS = 256 };

static rampmeter_plan_entry entries[SEATS];
static rampmeter_preemption preempted[SEATS];
static rampmeter_expiry expired[SEATS];
static rampmeter_batcher *batcher;
static uint64_t account;

/* One function for each kind of call, so that the profiler tells them apart. */
#define APART __attribute__((noinline))

APART uint64_t host_submit(uint64_t now_ns) {
    rampmeter_submission request = {.size = sizeof request};
    request.account = account;
    request.prompt_tokens = 200;
    request.output_tokens_max = 20;
    rampmeter_admission admission;
    OK(rampmeter_batcher_submit(batcher, now_ns, &request, &admission, NULL));
    return admission.request;
}

APART void host_cancel(uint64_t now_ns, uint64_t request) {
    OK(rampmeter_batcher_cancel(batcher, now_ns, request, NULL));
}

APART uint64_t host_next_event(uint64_t now_ns) {
    uint64_t next_ns;
    OK(rampmeter_batcher_next_event(batcher, now_ns, &next_ns, NULL));
    return next_ns;
}

APART uint64_t host_form(uint64_t now_ns, uint64_t *step) {
    rampmeter_plan plan = {sizeof plan, SEATS, entries, preempted, expired};
    rampmeter_formed formed = {.size = sizeof formed};
    OK(rampmeter_batcher_form(batcher, now_ns, &plan, &formed, NULL));
    *step = formed.step;
    return formed.runs ? formed.ends_at_ns : 0;
}

APART uint32_t host_observe(uint64_t now_ns, uint64_t step) {
    rampmeter_observation seen = {.size = sizeof seen, .step = step};
    rampmeter_observed observed = {.size = sizeof observed};
    OK(rampmeter_batcher_observe(batcher, now_ns, &seen, &observed, NULL));
    return observed.finished;
}

int main(void) {
    rampmeter_policy *policy = NULL;
    rampmeter_engine engine = {.size = sizeof engine};
    OK(rampmeter_policy_preset("balanced", &policy, NULL));
    OK(rampmeter_engine_named("llama-3.1-8b", &engine, NULL));
    OK(rampmeter_batcher_create(policy, &engine, &batcher, NULL));
    OK(rampmeter_batcher_open_account(batcher, 0, 1.0, &account, NULL));
    uint64_t now_ns = 1, sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t request = host_submit(now_ns), step;
        sum += host_next_event(now_ns);
        uint64_t ends_at_ns = host_form(now_ns, &step);
        if (ends_at_ns == 0) return 1;
        now_ns = ends_at_ns;
        sum += host_observe(now_ns, step);
        host_cancel(now_ns, request);
    }
    printf("%llu\n", (unsigned long long)sum);
    rampmeter_batcher_destroy(batcher);
    rampmeter_policy_destroy(policy);
    return 0;
}

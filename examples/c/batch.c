/* Two accounts share one engine: what runs in the next step?
 *
 * A whole host in small: it reads a policy, creates a batcher, hands in requests, forms a step,
 * "runs" it, and reports what came out. Exit status 0 means that everything was as it should be.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rampmeter.h>

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, error.text); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)
#define OK(call) CHECK((call) == RAMPMETER_STATUS_OK)

static const char POLICY[] =
    "preset = \"balanced\"\n"
    "[limits]\n"
    "running_max = 64\n"
    "[[account]]\n"
    "name = \"search\"\n"
    "[[account]]\n"
    "name = \"chat\"\n"
    "weight = 2\n";

int main(void) {
    static rampmeter_error error; /* filled by a call that fails, and read by CHECK */

    /* Header and library must belong together. */
    CHECK(rampmeter_abi() == RAMPMETER_ABI);

    /* Who may ask, and what the engine is like. */
    rampmeter_policy *policy = NULL;
    OK(rampmeter_policy_from_toml(POLICY, strlen(POLICY), &policy, &error));
    rampmeter_engine engine;
    memset(&engine, 0, sizeof engine);
    engine.size = sizeof engine;
    OK(rampmeter_engine_named("llama-3.1-8b", &engine, &error));

    /* All the memory that it will ever use is taken here. The policy is not needed after that. */
    rampmeter_batcher *batcher = NULL;
    OK(rampmeter_batcher_create(policy, &engine, &batcher, &error));
    uint32_t interactive = 0, index[2];
    OK(rampmeter_policy_class_index(policy, "interactive", &interactive, &error));
    OK(rampmeter_policy_account_index(policy, "search", &index[0], &error));
    OK(rampmeter_policy_account_index(policy, "chat", &index[1], &error));
    rampmeter_policy_destroy(policy);

    /* Requests come in. Time is whatever monotonic clock the host has. */
    uint64_t now_ns = 1000000000;
    for (int i = 0; i < 2; i++) {
        rampmeter_submission request;
        memset(&request, 0, sizeof request);
        request.size = sizeof request;
        request.class_index = interactive;
        request.tag = 100 + (uint64_t)i; /* our own number for it */
        request.prompt_tokens = 600;
        request.output_tokens_max = 50;
        OK(rampmeter_batcher_policy_account(batcher, index[i], &request.account, &error));
        rampmeter_admission admission;
        OK(rampmeter_batcher_submit(batcher, now_ns, &request, &admission, &error));
        CHECK(admission.request != 0); /* else a limit turned it away */
    }

    /* What runs next? The answer goes into arrays of ours, zeroed once. */
    enum { SEATS = 64 };
    rampmeter_plan plan;
    memset(&plan, 0, sizeof plan);
    plan.size = sizeof plan;
    plan.capacity = SEATS;
    plan.entries = calloc(SEATS, sizeof *plan.entries);
    plan.preempted = calloc(SEATS, sizeof *plan.preempted);
    plan.expired = calloc(SEATS, sizeof *plan.expired);
    CHECK(plan.entries && plan.preempted && plan.expired);
    rampmeter_formed formed;
    memset(&formed, 0, sizeof formed);
    formed.size = sizeof formed;
    OK(rampmeter_batcher_form(batcher, now_ns, &plan, &formed, &error));
    CHECK(formed.runs && formed.entries_len == 2);

    /* The engine runs it: every entry that emits brings one token. */
    rampmeter_step_result results[SEATS];
    uint32_t results_len = 0;
    memset(results, 0, sizeof results);
    for (uint32_t i = 0; i < formed.entries_len; i++) {
        const rampmeter_plan_entry *entry = &plan.entries[i];
        printf("request %" PRIu64 ": %" PRIu32 " tokens\n", entry->tag, entry->tokens);
        if (entry->emits) {
            results[results_len].request = entry->request;
            results[results_len++].output_tokens = 1;
        }
    }

    /* What really happened is what counts. */
    rampmeter_observation seen;
    memset(&seen, 0, sizeof seen);
    seen.size = sizeof seen;
    seen.step = formed.step;
    seen.results = results;
    seen.results_len = results_len;
    rampmeter_observed observed;
    memset(&observed, 0, sizeof observed);
    observed.size = sizeof observed;
    OK(rampmeter_batcher_observe(batcher, formed.ends_at_ns, &seen, &observed, &error));
    CHECK(observed.first_tokens == 2);

    /* A wrong call says what is wrong with it, and changes nothing. */
    CHECK(rampmeter_batcher_cancel(batcher, now_ns - 1, plan.entries[0].request, &error) ==
          RAMPMETER_STATUS_E_TIME_REVERSED);
    printf("refused: %s\n", error.text);

    free(plan.entries);
    free(plan.preempted);
    free(plan.expired);
    rampmeter_batcher_destroy(batcher);
    return 0;
}

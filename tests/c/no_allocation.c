/* The calls of a running host allocate nothing: malloc and its kin are interposed and counted. */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rampmeter.h>

static unsigned long counted;
static int counting;
static void *(*real_malloc)(size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);

/* ISO C has no cast from an object pointer to a function pointer. */
static void find(void *place, const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(place, &found, sizeof found);
}

void *malloc(size_t size) {
    if (!real_malloc) find(&real_malloc, "malloc");
    counted += (unsigned long)counting;
    return real_malloc(size);
}

void *realloc(void *old, size_t size) {
    if (!real_realloc) find(&real_realloc, "realloc");
    counted += (unsigned long)counting;
    return real_realloc(old, size);
}

void free(void *old) {
    if (!real_free) find(&real_free, "free");
    counted += (unsigned long)(counting && old);
    real_free(old);
}

#define CHECK(condition)                                                     \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                         \
        }                                                                    \
    } while (0)
#define OK(call) CHECK((call) == RAMPMETER_STATUS_OK)

enum { SEATS = 128, ROUNDS = 10000 };

static rampmeter_plan_entry entries[SEATS];
static rampmeter_preemption preempted[SEATS];
static rampmeter_expiry expired[SEATS];
static rampmeter_step_result results[SEATS];
static rampmeter_error error;

/* Requests come, are refused, run, end, and wrong calls are made among them. */
static unsigned long drive(rampmeter_batcher *batcher, uint64_t account) {
    rampmeter_plan plan = {sizeof plan, SEATS, entries, preempted, expired};
    rampmeter_formed formed = {.size = sizeof formed};
    uint64_t now_ns = 1;
    unsigned long finished = 0;
    for (int round = 0; round < ROUNDS; round++) {
        rampmeter_submission request = {.size = sizeof request};
        request.account = round % 7 ? account : 12345; /* a handle that nobody issued */
        request.prompt_tokens = (uint32_t)(round * 37 % 900);
        request.output_tokens_max = 3;
        rampmeter_admission admission;
        rampmeter_status status =
            rampmeter_batcher_submit(batcher, now_ns, &request, &admission, &error);
        CHECK(status == RAMPMETER_STATUS_OK || status == RAMPMETER_STATUS_E_STALE ||
              status == RAMPMETER_STATUS_E_RANGE);
        OK(rampmeter_batcher_form(batcher, now_ns, &plan, &formed, &error));
        if (!formed.runs) continue;
        rampmeter_observation seen = {.size = sizeof seen, .step = formed.step};
        seen.results = results;
        for (uint32_t i = 0; i < formed.entries_len; i++) {
            if (!entries[i].emits) continue;
            results[seen.results_len].request = entries[i].request;
            results[seen.results_len++].output_tokens = 1;
        }
        rampmeter_observed observed = {.size = sizeof observed};
        now_ns = formed.ends_at_ns;
        OK(rampmeter_batcher_observe(batcher, now_ns, &seen, &observed, &error));
        CHECK(rampmeter_batcher_observe(batcher, now_ns, &seen, &observed, &error) < 0);
        CHECK(rampmeter_batcher_cancel(NULL, now_ns, 1, &error) < 0);
        finished += observed.finished;
    }
    return finished;
}

int main(void) {
    rampmeter_policy *policy = NULL;
    rampmeter_batcher *batcher = NULL;
    rampmeter_engine engine = {.size = sizeof engine};
    uint64_t account = 0;

    /* Positive control: what creates must be seen to allocate. */
    counting = 1;
    OK(rampmeter_policy_preset("balanced", &policy, &error));
    CHECK(counted > 0);
    counting = 0;
    OK(rampmeter_engine_named("llama-3.1-8b", &engine, &error));
    OK(rampmeter_batcher_create(policy, &engine, &batcher, &error));
    OK(rampmeter_batcher_open_account(batcher, 0, 1.0, &account, &error));

    counted = 0;
    counting = 1;
    unsigned long finished = drive(batcher, account);
    counting = 0;
    printf("%d rounds, %lu requests finished, %lu allocations\n", ROUNDS, finished, counted);
    CHECK(counted == 0 && finished > ROUNDS / 2);

    rampmeter_batcher_destroy(batcher);
    rampmeter_policy_destroy(policy);
    return 0;
}

/* Two threads, each with an object of its own, and one policy and one batcher that both only look
 * at: run under Helgrind and DRD, which report what is not in order. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rampmeter.h>

#define CHECK(condition)                                                     \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                         \
        }                                                                    \
    } while (0)
#define OK(call) CHECK((call) == RAMPMETER_STATUS_OK)

static rampmeter_policy *policy;
static rampmeter_batcher *shared;
static uint64_t shared_request;
static rampmeter_engine engine;

static uint64_t submit(rampmeter_batcher *batcher, uint64_t account, uint64_t now_ns) {
    rampmeter_submission request;
    memset(&request, 0, sizeof request);
    request.size = sizeof request;
    request.account = account;
    request.prompt_tokens = 100;
    request.output_tokens_max = 2;
    rampmeter_admission admission;
    OK(rampmeter_batcher_submit(batcher, now_ns, &request, &admission, NULL));
    return admission.request;
}

static void *work(void *argument) {
    (void)argument;
    rampmeter_batcher *own = NULL;
    rampmeter_error error;
    uint64_t account;
    OK(rampmeter_batcher_create(policy, &engine, &own, &error));
    OK(rampmeter_batcher_open_account(own, 0, 1.0, &account, &error));
    for (uint64_t now_ns = 1; now_ns < 200; now_ns++) {
        uint64_t request = submit(own, account, now_ns);
        OK(rampmeter_batcher_cancel(own, now_ns, request, &error));
        rampmeter_stats_batcher stats;
        memset(&stats, 0, sizeof stats);
        stats.size = sizeof stats;
        OK(rampmeter_batcher_stats(shared, &stats, &error));
        CHECK(stats.waiting == 1);
        rampmeter_explanation why;
        memset(&why, 0, sizeof why);
        why.size = sizeof why;
        OK(rampmeter_batcher_explain(shared, now_ns, shared_request, &why, &error));
        CHECK(rampmeter_batcher_explain(shared, now_ns, 77, &why, &error) ==
              RAMPMETER_STATUS_E_STALE);
    }
    rampmeter_batcher_destroy(own);
    return NULL;
}

int main(void) {
    memset(&engine, 0, sizeof engine);
    engine.size = sizeof engine;
    uint64_t account;
    OK(rampmeter_policy_preset("interactive", &policy, NULL));
    OK(rampmeter_engine_named("llama-3.1-8b", &engine, NULL));
    OK(rampmeter_batcher_create(policy, &engine, &shared, NULL));
    OK(rampmeter_batcher_open_account(shared, 0, 1.0, &account, NULL));
    shared_request = submit(shared, account, 1);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    rampmeter_batcher_destroy(shared);
    rampmeter_policy_destroy(policy);
    return 0;
}

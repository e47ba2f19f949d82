/* A router before two engines: a prompt goes back to where its beginning is cached, unless the queue
 * there is too long; an engine fails, drains and returns.
 *
 * A front door of your own makes these calls where a request comes in, where its first token and its
 * end pass by, and where an engine reports. Exit status 0 means that everything was as it should be.
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
#define MS UINT64_C(1000000)
#define PROMPT 1000
#define BLOCK 16

int main(void) {
    static rampmeter_error error; /* filled by a call that fails, and read by CHECK */

    /* Every structure: all of it to 0, then its size. What stays 0 is the default. */
    rampmeter_router_options options;
    rampmeter_engine engine;
    rampmeter_replica_spec spec;
    memset(&options, 0, sizeof options), options.size = sizeof options;
    memset(&engine, 0, sizeof engine), engine.size = sizeof engine;
    memset(&spec, 0, sizeof spec), spec.size = sizeof spec;

    rampmeter_policy *policy = NULL;
    rampmeter_router *router = NULL;
    uint64_t replicas[2];
    CHECK(rampmeter_abi() == RAMPMETER_ABI);
    OK(rampmeter_policy_preset("balanced", &policy, &error));
    options.replicas_max = 2;
    options.blocks_max = options.sets_max = 10000;
    OK(rampmeter_router_create(policy, &options, &router, &error));
    rampmeter_policy_destroy(policy); /* the router keeps what it needs */
    OK(rampmeter_engine_named("llama-3.1-8b", &engine, &error));
    for (int i = 0; i < 2; i++)
        OK(rampmeter_router_add_replica(router, 0, &engine, &spec, &replicas[i], &error));

    /* Names of the blocks of a prompt. Where engines tell their own hashes, use those instead. */
    uint32_t tokens[PROMPT];
    uint64_t hashes[PROMPT / BLOCK];
    size_t hashes_len = 0;
    for (uint32_t i = 0; i < PROMPT; i++)
        tokens[i] = i * 7 % 1001;
    OK(rampmeter_hash_blocks(0, tokens, PROMPT, BLOCK, hashes, PROMPT / BLOCK, &hashes_len, &error));
    rampmeter_route_request request;
    memset(&request, 0, sizeof request), request.size = sizeof request;
    request.prompt_tokens = PROMPT;
    request.hashes = hashes;
    request.hashes_len = (uint32_t)hashes_len;

    /* Nobody has it yet. It is computed there, answered, and ends. */
    rampmeter_routed first, routed;
    memset(&first, 0, sizeof first), first.size = sizeof first;
    memset(&routed, 0, sizeof routed), routed.size = sizeof routed;
    OK(rampmeter_router_route(router, 1 * MS, &request, &first, &error));
    CHECK(first.request != 0 && first.cached_tokens == 0);
    OK(rampmeter_router_first_token(router, 50 * MS, first.request, &error));
    OK(rampmeter_router_ended(router, 900 * MS, first.request, 40, &error));

    /* The same prompt goes where it was computed, and is faster there. Its user gives up at once. */
    OK(rampmeter_router_route(router, 950 * MS, &request, &routed, &error));
    CHECK(routed.replica == first.replica && routed.cached_tokens == hashes_len * BLOCK);
    CHECK(routed.ttft_s < first.ttft_s);
    OK(rampmeter_router_ended(router, 960 * MS, routed.request, 0, &error));

    /* That engine reports a long queue. What would each cost now, and why? */
    rampmeter_replica_state state;
    memset(&state, 0, sizeof state), state.size = sizeof state;
    state.waiting = 50;
    state.kv_blocks_free = engine.kv_blocks;
    state.prefill_tokens = 500000;
    state.prefill_tokens_known = 1;
    uint32_t is_news = 0;
    OK(rampmeter_router_report(router, 970 * MS, first.replica, &state, &is_news, &error));
    CHECK(is_news == 1);
    rampmeter_candidate candidates[2];
    size_t candidates_len = 0;
    memset(candidates, 0, sizeof candidates);
    OK(rampmeter_router_explain(router, 970 * MS, &request, candidates, 2, &candidates_len, &error));
    CHECK(candidates_len == 2);
    for (int i = 0; i < 2; i++)
        printf("replica %d: %" PRIu32 " tokens cached, queue %.3f s, first token in %.3f s\n", i,
               candidates[i].prices.cached_tokens, candidates[i].prices.queue_s,
               candidates[i].prices.ttft_s);
    OK(rampmeter_router_route(router, 970 * MS, &request, &routed, &error));
    CHECK(routed.replica != first.replica);

    /* The other one fails with that request, and this one drains: there is nowhere to go, which is an
     * answer, not an error. */
    uint32_t lost = 0;
    OK(rampmeter_router_fail(router, 980 * MS, routed.replica, &lost, &error));
    CHECK(lost == 1);
    OK(rampmeter_router_drain(router, 980 * MS, first.replica, &error));
    OK(rampmeter_router_route(router, 980 * MS, &request, &routed, &error));
    CHECK(routed.request == 0);
    OK(rampmeter_router_resume(router, 990 * MS, first.replica, 0, &error));
    OK(rampmeter_router_route(router, 990 * MS, &request, &routed, &error));
    CHECK(routed.replica == first.replica);

    rampmeter_router_destroy(router);
    return 0;
}

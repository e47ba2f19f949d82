/* What a call from C takes on top of the same call from Rust: the calls of a running host, made here
 * through the C ABI and by src/lib.rs, which is loaded, straight to the core.
 *
 *     main ROUNDS RUST.so...      median nanoseconds a call, and on top of each of RUST.so
 *     main count ROUNDS RUST.so   the same calls once, for callgrind to count
 *
 * Blocks of one kind of call alternate between the paths, and what is told is the median of the
 * differences between neighbours: what slows the machine for a while slows both. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rampmeter.h>

#define OK(call)                                      \
    do {                                              \
        if ((call) != RAMPMETER_STATUS_OK) {          \
            fprintf(stderr, "%s failed\n", #call);    \
            exit(1);                                  \
        }                                             \
    } while (0)

/* BLOCK: a look at the clock is some 25 ns, and both paths pay for it. */
enum { SEATS = 256, BLOCK = 200, PATHS_MAX = 4, KINDS = 4 };

static const char *const KIND_NAMES[KINDS] = {"submit", "cancel", "next_event", "form + observe"};

typedef struct host {
    rampmeter_batcher *batcher;
    uint64_t account, running, now_ns, sum;
    uint64_t requests[SEATS];
    rampmeter_plan_entry entries[SEATS];
    rampmeter_preemption preempted[SEATS];
    rampmeter_expiry expired[SEATS];
} host;

/* One function for each kind of call, so that the profiler tells them apart. */
#define APART __attribute__((noinline))

APART uint64_t c_submit(rampmeter_batcher *batcher, uint64_t now_ns, uint64_t account) {
    rampmeter_submission request = {.size = sizeof request};
    request.account = account;
    request.prompt_tokens = 200;
    request.output_tokens_max = 20;
    rampmeter_admission admission;
    OK(rampmeter_batcher_submit(batcher, now_ns, &request, &admission, NULL));
    return admission.request;
}

APART void c_cancel(rampmeter_batcher *batcher, uint64_t now_ns, uint64_t request) {
    OK(rampmeter_batcher_cancel(batcher, now_ns, request, NULL));
}

APART uint64_t c_next_event(rampmeter_batcher *batcher, uint64_t now_ns) {
    uint64_t next_ns;
    OK(rampmeter_batcher_next_event(batcher, now_ns, &next_ns, NULL));
    return next_ns;
}

APART uint64_t c_form(host *it, uint64_t now_ns, uint64_t *step) {
    rampmeter_plan plan = {sizeof plan, SEATS, it->entries, it->preempted, it->expired};
    rampmeter_formed formed = {.size = sizeof formed};
    OK(rampmeter_batcher_form(it->batcher, now_ns, &plan, &formed, NULL));
    if (!formed.runs) abort();
    *step = formed.step;
    return formed.ends_at_ns;
}

APART uint32_t c_observe(rampmeter_batcher *batcher, uint64_t now_ns, uint64_t step,
                         const rampmeter_step_result *results, uint32_t results_len) {
    rampmeter_observation seen = {.size = sizeof seen, .step = step};
    seen.results = results;
    seen.results_len = results_len;
    rampmeter_observed observed = {.size = sizeof observed};
    OK(rampmeter_batcher_observe(batcher, now_ns, &seen, &observed, NULL));
    return observed.output_tokens;
}

static void c_step(host *it) {
    uint64_t step;
    it->now_ns = c_form(it, it->now_ns, &step);
    rampmeter_step_result result = {.request = it->running, .output_tokens = 1};
    it->sum += it->now_ns + c_observe(it->batcher, it->now_ns, step, &result, 1);
}

static void *c_create(void) {
    rampmeter_policy *policy = NULL;
    rampmeter_engine engine = {.size = sizeof engine};
    host *it = calloc(1, sizeof *it);
    if (!it) abort();
    OK(rampmeter_policy_preset("balanced", &policy, NULL));
    OK(rampmeter_engine_named("llama-3.1-8b", &engine, NULL));
    OK(rampmeter_batcher_create(policy, &engine, &it->batcher, NULL));
    OK(rampmeter_batcher_open_account(it->batcher, 0, 1.0, &it->account, NULL));
    rampmeter_policy_destroy(policy);
    rampmeter_submission request = {.size = sizeof request, .prompt_tokens = 200};
    request.account = it->account;
    request.output_tokens_max = 120000;
    rampmeter_admission admission;
    it->now_ns = 1;
    OK(rampmeter_batcher_submit(it->batcher, it->now_ns, &request, &admission, NULL));
    it->running = admission.request;
    c_step(it);
    return it;
}

static void c_submits(void *any, uint32_t count) {
    host *it = any;
    for (uint32_t i = 0; i < count; i++)
        it->requests[i] = c_submit(it->batcher, it->now_ns, it->account);
}
static void c_cancels(void *any, uint32_t count) {
    host *it = any;
    for (uint32_t i = 0; i < count; i++) c_cancel(it->batcher, it->now_ns, it->requests[i]);
}
static void c_next_events(void *any, uint32_t count) {
    host *it = any;
    for (uint32_t i = 0; i < count; i++) it->sum += c_next_event(it->batcher, it->now_ns);
}
static void c_steps(void *any, uint32_t count) {
    host *it = any;
    for (uint32_t i = 0; i < count; i++) c_step(it);
}
static uint64_t c_sum(const void *any) { return ((const host *)any)->sum; }

typedef struct path {
    void *host;
    void (*kinds[KINDS])(void *host, uint32_t count);
    uint64_t (*sum)(const void *host);
} path;

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return found;
}

static path loaded(const char *file) {
    static const char *const names[KINDS] = {"rust_submits", "rust_cancels", "rust_next_events", "rust_steps"};
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    path it;
    void *(*create)(void);
    /* As POSIX has it: a pointer to a function comes out as one to an object. */
    *(void **)&create = symbol(library, "rust_create");
    *(void **)&it.sum = symbol(library, "rust_sum");
    for (int kind = 0; kind < KINDS; kind++) *(void **)&it.kinds[kind] = symbol(library, names[kind]);
    it.host = create();
    return it;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int ascending(const void *one, const void *other) {
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}
static double median(double *values, size_t len) {
    qsort(values, len, sizeof *values, ascending);
    return values[len / 2];
}

int main(int count, char **arguments) {
    int counts = count > 1 && strcmp(arguments[1], "count") == 0;
    size_t rounds = count > 1 + counts ? strtoul(arguments[1 + counts], NULL, 10) : 0;
    int first = 2 + counts, paths_len = 1 + count - first;
    if (rounds == 0 || paths_len < 1 || paths_len > PATHS_MAX) return 2;
    path paths[PATHS_MAX] = {{c_create(), {c_submits, c_cancels, c_next_events, c_steps}, c_sum}};
    for (int i = 1; i < paths_len; i++) paths[i] = loaded(arguments[first + i - 1]);

    double *took[KINDS][PATHS_MAX];
    for (int kind = 0; kind < KINDS; kind++)
        for (int i = 0; i < paths_len; i++) took[kind][i] = calloc(rounds, sizeof(double));
    for (size_t round = 0; round < rounds; round++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int i = 0; i < paths_len; i++) {
                /* Each in turn is the first: the one behind finds the caches as the other left them. */
                int at = (int)((round + (size_t)i) % (size_t)paths_len);
                double begin = seconds();
                paths[at].kinds[kind](paths[at].host, BLOCK);
                took[kind][at][round] = (seconds() - begin) * 1e9 / BLOCK;
            }
    for (int i = 1; i < paths_len; i++)
        if (paths[i].sum(paths[i].host) != paths[0].sum(paths[0].host)) {
            fprintf(stderr, "overhead: the answers differ\n");
            return 1;
        }
    for (int kind = 0; kind < KINDS && !counts; kind++) {
        double top[PATHS_MAX] = {0};
        for (int i = 1; i < paths_len; i++) {
            double *differences = calloc(rounds, sizeof(double));
            for (size_t round = 0; round < rounds; round++)
                differences[round] = took[kind][0][round] - took[kind][i][round];
            top[i] = median(differences, rounds);
            free(differences);
        }
        printf("%s;%.1f", KIND_NAMES[kind], median(took[kind][0], rounds));
        for (int i = 1; i < paths_len; i++) printf(";%.1f", top[i]);
        printf("\n");
    }
    return 0;
}

/* Drives the core from C after its memory is sealed: any allocation ends the process.
 *
 *   main                        thousands of calls, right and wrong; one line of counts
 *   main --allocate-after-seal  negative control: must abort
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As in the core; the layouts are checked below. */
typedef struct {
    uint64_t request, tag;
    uint32_t computed_tokens, tokens;
    uint8_t phase;
    bool emits, admitted, swapped_in;
} plan_entry;

typedef struct {
    uint64_t request, tag;
    uint32_t computed_tokens;
    bool swapped_out;
    double restore_s, price;
} preemption;

typedef struct {
    uint64_t request;
    uint32_t output_tokens;
    bool finished;
} step_result;

_Static_assert(sizeof(plan_entry) == 32, "layout of a plan entry");
_Static_assert(sizeof(preemption) == 40, "layout of a preemption");
_Static_assert(sizeof(step_result) == 16, "layout of a step result");

int nostd_create(uint32_t requests_max, uint32_t running_max, uint32_t accounts);
void nostd_seal(void);
size_t nostd_bytes(void);
size_t nostd_allocations(void);
void nostd_allocate(void);
int nostd_submit(uint64_t now_ns, uint16_t class_index, uint32_t account, uint32_t prompt_tokens,
                 uint32_t output_tokens_max, uint64_t *request);
int nostd_cancel(uint64_t now_ns, uint64_t request);
int nostd_form(uint64_t now_ns, plan_entry *entries, uint32_t entries_size, preemption *preempted,
               uint32_t preempted_size, uint64_t *step, uint32_t *entries_len,
               uint64_t *ends_at_ns);
int nostd_observe(uint64_t now_ns, uint64_t step, const step_result *results,
                  uint32_t results_len);
int nostd_set_cached_tokens(uint64_t request, uint32_t tokens);
int nostd_explain(uint64_t now_ns, uint64_t request, uint8_t *reason);
int nostd_set_policy(uint32_t pick);
int nostd_open_and_close(double weight);
int nostd_set_swap(uint32_t blocks, double s_per_block);
int nostd_drop_swapped(uint64_t now_ns, uint64_t request);
uint32_t nostd_requests(void);
int nostd_placer_create(uint32_t nodes_max, uint32_t tasks_max);
int nostd_place(uint64_t now_ns, uint8_t gpus, uint32_t members, uint64_t duration_ns, bool waits,
                uint64_t *task);
int nostd_place_release(uint64_t now_ns, uint64_t task);
int nostd_place_cycle(uint64_t now_ns, uint32_t *started_len);
int nostd_place_ask(uint64_t now_ns, uint64_t task);
uint32_t nostd_place_tasks(void);
int nostd_front_create(uint32_t requests_max, uint32_t servers);
int nostd_route(uint64_t now_ns, uint16_t class_index, uint64_t first, uint32_t blocks,
                uint64_t *request);
int nostd_route_ended(uint64_t now_ns, uint64_t request, uint32_t output_tokens);
int nostd_route_told(uint64_t now_ns, uint32_t replica, uint64_t first, bool fails);
uint64_t nostd_routes(void);
int nostd_admit(uint64_t now_ns, uint32_t class_index, uint32_t work, uint64_t *ticket);
int nostd_left(uint64_t now_ns, uint64_t ticket);
uint64_t nostd_admitted(void);

enum { REQUESTS_MAX = 64, RUNNING_MAX = 16, ACCOUNTS = 4, ROUNDS = 20000, CODES = 9 };
enum { NODES_MAX = 8, TASKS_MAX = 64, PLACE_ROUNDS = 3000 };
enum { SERVERS = 8, KNOWN_MAX = 48, FRONT_ROUNDS = 10000 };

static uint64_t counts[CODES]; /* by -code; 0 counts the calls that were answered */
static uint64_t state = 42;

/* splitmix64: the same numbers everywhere. */
static uint64_t draw(void)
{
    uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Counts an answer; a code that the core does not have ends the run. */
static int note(int code)
{
    if (code > 0 || code <= -CODES) {
        fprintf(stderr, "unknown code %d\n", code);
        exit(1);
    }
    counts[-code] += 1;
    return code;
}

/* Calls that are wrong: each must be refused with the code named. */
static void expect(int code, int wanted, const char *call)
{
    if (note(code) != wanted) {
        fprintf(stderr, "%s answered %d, expected %d\n", call, code, wanted);
        exit(1);
    }
}

static void wrong_calls(uint64_t now_ns, uint64_t ended)
{
    plan_entry entries[RUNNING_MAX];
    preemption preempted[RUNNING_MAX];
    uint64_t request, step, ends_at_ns;
    uint32_t entries_len;
    uint8_t reason;
    step_result forged = {draw() | 1, 1, false};

    expect(nostd_submit(now_ns, 7, 0, 10, 10, &request), -1, "submit, class 7");
    expect(nostd_submit(now_ns, 0, 0, 0, 10, &request), -1, "submit, no prompt");
    expect(nostd_submit(now_ns, 0, ACCOUNTS, 10, 10, &request), -3, "submit, no such account");
    expect(nostd_submit(0, 0, 0, 10, 10, &request), -4, "submit, time reversed");
    expect(nostd_cancel(now_ns, draw()), -3, "cancel, forged");
    expect(nostd_cancel(now_ns, ended), -3, "cancel, ended");
    expect(nostd_explain(now_ns, ended, &reason), -3, "explain, ended");
    expect(nostd_set_cached_tokens(ended, 1), -3, "set_cached_tokens, ended");
    expect(nostd_form(now_ns, entries, RUNNING_MAX - 1, preempted, RUNNING_MAX, &step,
                      &entries_len, &ends_at_ns),
           -6, "form, short array");
    expect(nostd_observe(now_ns, UINT64_MAX, &forged, 1), -3, "observe, no such step");
    expect(nostd_open_and_close(-1.0), -2, "open_account, negative weight");
    expect(nostd_set_swap(100, -1e-6), -2, "set_swap, negative time");
    expect(nostd_set_swap((uint32_t)(draw() % 1000), 1e-6), 0, "set_swap");
    expect(nostd_drop_swapped(now_ns, ended), -3, "drop_swapped, ended");
}

static void run(void)
{
    static plan_entry entries[2][RUNNING_MAX];
    static preemption preempted[RUNNING_MAX];
    static step_result results[RUNNING_MAX + 1];
    uint64_t steps[2] = {0, 0}, ends_at_ns[2] = {0, 0}, now_ns = 1, request = 0, ended = 0;
    uint32_t lens[2] = {0, 0}, i, len, formed = 0, observed = 0;

    for (i = 0; i < ROUNDS; i++) {
        uint32_t at = formed % 2, oldest = observed % 2;
        uint16_t class_index = (uint16_t)(draw() % 2);
        now_ns += draw() % 2000000;
        if (note(nostd_submit(now_ns, class_index, (uint32_t)(draw() % ACCOUNTS),
                              1 + (uint32_t)(draw() % 3000), 1 + (uint32_t)(draw() % 30),
                              &request)) == 0 && draw() % 10 == 0) {
            uint8_t reason;
            note(nostd_explain(now_ns, request, &reason));
            note(nostd_set_cached_tokens(request, 0));
            note(nostd_cancel(now_ns, request));
            ended = request;
        }
        if (note(nostd_form(now_ns, entries[at], RUNNING_MAX, preempted, RUNNING_MAX, &steps[at],
                            &lens[at], &ends_at_ns[at])) == 0 && steps[at] != 0) {
            formed++;
        }
        if (formed - observed == 2) {
            uint32_t j;
            for (j = 0, len = 0; j < lens[oldest]; j++) {
                if (entries[oldest][j].emits) {
                    memset(&results[len], 0, sizeof results[len]);
                    results[len].request = entries[oldest][j].request;
                    results[len].output_tokens = 1;
                    len++;
                }
            }
            if (now_ns < ends_at_ns[oldest]) {
                now_ns = ends_at_ns[oldest];
            }
            if (len > 0) { /* named twice: refused, and the true report still counts */
                results[len] = results[0];
                expect(nostd_observe(now_ns, steps[oldest], results, len + 1), -3, "observe");
            }
            expect(nostd_observe(now_ns, steps[oldest], results, len), 0, "observe");
            observed++;
        }
        if (draw() % 8 == 0) {
            wrong_calls(now_ns, ended);
            expect(nostd_set_policy(i / 8), 0, "set_policy");
            expect(nostd_open_and_close(1.0), 0, "open and close");
        }
    }
    printf("steps %u observed %u requests %u", formed, observed, nostd_requests());
}

/* Tasks come, start, end and are asked about; those that are wrong are refused. */
static void run_placer(void)
{
    uint64_t known[TASKS_MAX] = {0}, task, now_ns = 1;
    uint32_t i, started_len, placed = 0, started = 0;

    for (i = 0; i < PLACE_ROUNDS; i++) {
        uint64_t *at = &known[draw() % TASKS_MAX];
        now_ns += draw() % 1000000;
        if (*at != 0) {
            expect(nostd_place_release(now_ns, *at), 0, "release");
            expect(nostd_place_release(now_ns, *at), -3, "release, gone");
        }
        *at = 0;
        if (note(nostd_place(now_ns, (uint8_t)(1 + draw() % 8), 1 + (uint32_t)(draw() % 4),
                             draw() % 9000000, draw() % 2 == 0, &task)) == 0) {
            *at = task;
            placed += task != 0;
        }
        expect(nostd_place_cycle(now_ns, &started_len), 0, "cycle");
        started += started_len;
        if (draw() % 8 == 0) {
            expect(nostd_place(now_ns, 17, 1, 0, true, &task), -1, "submit, 17 devices");
            expect(nostd_place(now_ns, 1, 17, 0, false, &task), -1, "place, 17 members");
            expect(nostd_place(0, 1, 1, 0, false, &task), -4, "place, time reversed");
            expect(nostd_place_cycle(0, &started_len), -4, "cycle, time reversed");
            expect(nostd_place_ask(now_ns, draw()), -3, "expected_start, forged");
            if (*at != 0) {
                expect(nostd_place_ask(now_ns, *at), 0, "expected_start");
            }
        }
    }
    if (placed == 0 || started == 0) {
        fprintf(stderr, "placed %u started %u\n", placed, started);
        exit(1);
    }
    printf(" placed %u started %u tasks %u", placed, started, nostd_place_tasks());
}

/* Requests are routed and admitted and end; those that are wrong are refused. */
static void run_front(void)
{
    uint64_t routed[KNOWN_MAX] = {0}, admitted[KNOWN_MAX] = {0}, id, now_ns = 1;
    uint32_t i;

    for (i = 0; i < FRONT_ROUNDS; i++) {
        uint64_t *route = &routed[draw() % KNOWN_MAX], *ticket = &admitted[draw() % KNOWN_MAX];
        now_ns += draw() % 20000000;
        if (*route != 0) {
            note(nostd_route_ended(now_ns, *route, (uint32_t)(draw() % 300)));
        }
        if (*ticket != 0) {
            note(nostd_left(now_ns, *ticket));
        }
        *route = *ticket = 0;
        if (note(nostd_route(now_ns, (uint16_t)(draw() % 2), draw() % 64,
                             1 + (uint32_t)(draw() % 16), &id)) == 0) {
            *route = id;
        }
        if (note(nostd_admit(now_ns, (uint32_t)(draw() % 2), 1 + (uint32_t)(draw() % 9), &id)) ==
            0) {
            *ticket = id;
        }
        if (draw() % 8 == 0) {
            expect(nostd_route_told(now_ns, (uint32_t)draw(), draw() % 64, draw() % 8 == 0), 0,
                   "told");
            expect(nostd_route(now_ns, 7, 0, 1, &id), -1, "route, class 7");
            expect(nostd_route(0, 0, 0, 1, &id), -4, "route, time reversed");
            expect(nostd_route_ended(now_ns, draw(), 1), -3, "ended, forged");
            expect(nostd_admit(now_ns, 7, 1, &id), -1, "admit, class 7");
            expect(nostd_admit(0, 0, 1, &id), -4, "admit, time reversed");
            expect(nostd_left(now_ns, draw()), -3, "left, forged");
        }
    }
    if (nostd_routes() == 0 || nostd_admitted() == 0) {
        fprintf(stderr, "nothing was routed, or let in\n");
        exit(1);
    }
    printf(" routed %llu let in %llu", (unsigned long long)nostd_routes(),
           (unsigned long long)nostd_admitted());
}

int main(int argc, char **argv)
{
    size_t bytes, allocations;
    int code;

    if (nostd_create(REQUESTS_MAX, RUNNING_MAX, ACCOUNTS) != 0 ||
        nostd_placer_create(NODES_MAX, TASKS_MAX) != 0 ||
        nostd_front_create(REQUESTS_MAX, SERVERS) != 0) {
        fprintf(stderr, "a desk could not be built\n");
        return 1;
    }
    bytes = nostd_bytes();
    allocations = nostd_allocations();
    nostd_seal();
    if (argc > 1 && strcmp(argv[1], "--allocate-after-seal") == 0) {
        nostd_allocate();
        fprintf(stderr, "an allocation after the seal went unnoticed\n");
        return 0;
    }
    run();
    run_placer();
    run_front();
    printf(" answered %llu refused", (unsigned long long)counts[0]);
    for (code = 1; code < CODES; code++) {
        printf(" %d:%llu", -code, (unsigned long long)counts[code]);
    }
    printf(" allocations %zu before the seal (%zu bytes), 0 after\n", allocations, bytes);
    return counts[0] > 0 ? 0 : 1;
}

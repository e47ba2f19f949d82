/* Calls in any order, with any arguments: what is drawn, and what must hold after every call.
 *
 *     fuzz [SEED [SECONDS [verbose]]]
 *
 * The end of every array lies at a page that must not be touched, so that a byte too many is seen
 * although the library is not instrumented. After a call that failed nothing may have changed: not in
 * the memory that was lent, nor in the object, whose snapshot is compared. Included by what
 * fuzz_calls.py writes, which knows the functions.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { ROOMS = 160, PAGE = 4096, ROOM_BYTES = 64 * PAGE, OBJECTS = 3, NUMBERS = 24, NAMES_MAX = 1024, DEEP = 3 };

static uint64_t seed, state, calls, refused;
static const char *function_now = "nothing";
static uint64_t now_ns = 1;

/* splitmix64: one seed is one run. */
static uint64_t draw(void) {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static uint64_t below(uint64_t n) { return draw() % n; }
static int one_in(uint64_t n) { return below(n) == 0; }

static void complain(const char *what) {
    fprintf(stderr, "fuzz: %s in %s, call %llu of seed %llu\n", what, function_now,
            (unsigned long long)calls, (unsigned long long)seed);
    abort();
}

static void on_fault(int number) {
    /* Not much may be called here; a line that says how to see it again is worth it. */
    static char line[256];
    int len = snprintf(line, sizeof line, "fuzz: signal %d in %s, call %llu of seed %llu\n", number,
                       function_now, (unsigned long long)calls, (unsigned long long)seed);
    if (write(2, line, (size_t)len) < 0) _exit(98);
    signal(number, SIG_DFL);
    raise(number);
}

/* Objects and numbers that were given out, live and ended. */
static void *objects[KINDS][OBJECTS];
/* By the object and the name under which they went out: an `account` is drawn from what that one
 * called so. */
static struct {
    const char *name;
    int owner, len, newest;
    uint64_t last[NUMBERS];
} numbers[NAMES_MAX];
static int numbers_len;
/* Place of the first object of this call, and a place that is none. */
static int owner_now;
/* Where most calls go for a while: to objects at this place. */
static uint64_t place_now;

static int numbers_of(const char *name) {
    int i = 0;
    while (i < numbers_len && (numbers[i].owner != owner_now || strcmp(numbers[i].name, name))) i++;
    if (i == NAMES_MAX) complain("too many names");
    if (i == numbers_len) {
        numbers[i].name = name;
        numbers[i].len = 0;
        numbers[i].owner = owner_now;
        numbers_len++;
    }
    return i;
}

/* An output by another name than the inputs that take it. */
static const char *known_as(const char *name) {
    static const char *const names[][2] = {
        {"parent", "account"}, {"reclaimer", "account"}, {"other", "account"}, {"shares", "request"},
        {"added", "node"}, {"submitted", "task"}, {"added_node", "node"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i][0]) == 0) return names[i][1];
    return name;
}

static void keep(const char *name, uint64_t number) {
    if (!number) return;
    int of = numbers_of(known_as(name));
    int is_full = numbers[of].len == NUMBERS;
    numbers[of].newest = is_full ? (int)below(NUMBERS) : numbers[of].len++;
    numbers[of].last[numbers[of].newest] = number;
}

static void *pick(enum kind kind) {
    if (one_in(150)) return NULL;
    uint64_t first = one_in(8) ? below(OBJECTS) : place_now;
    for (uint64_t i = 0; i < OBJECTS; i++)
        if (objects[kind][(first + i) % OBJECTS]) {
            uint64_t place = (first + i) % OBJECTS;
            if (!owner_now) owner_now = 1 + (int)kind * OBJECTS + (int)place;
            return objects[kind][place];
        }
    return NULL;
}

/* Another object is at this place: what the one before gave out is forged now. */
static void replaced(enum kind kind, uint64_t place) {
    for (int i = 0; i < numbers_len; i++)
        if (numbers[i].owner == 1 + (int)kind * OBJECTS + (int)place && !one_in(4)) numbers[i].len = 0;
}

/* This object, for certain, and what is kept from now on is its own. */
static void settle(enum kind kind, void *object) {
    if (objects[kind][0]) ENDS[kind](objects[kind][0]);
    objects[kind][0] = object;
    replaced(kind, 0);
    owner_now = 1 + (int)kind * OBJECTS;
}

static void created(enum kind kind, void *object) {
    if (!object) return;
    uint64_t place = below(OBJECTS);
    void *old = objects[kind][place];
    /* Objects that live for long come to states that others do not. */
    int stays = old && !one_in(8);
    objects[kind][place] = stays ? old : object;
    if (!stays) replaced(kind, place);
    if (stays) ENDS[kind](object);
    else if (old) ENDS[kind](old);
}

static void forget(enum kind kind, void *object) {
    for (int i = 0; i < OBJECTS; i++)
        if (objects[kind][i] == object) objects[kind][i] = NULL;
}

#include "fuzz_rooms.h"
#include "fuzz_draw.h"

/* The object before the call, if it can be saved. */
static uint8_t after[1 << 20];
static enum kind noted_kind;
static const void *noted;

static void begin(const char *function) {
    function_now = function;
    owner_now = 0;
    rooms_used = 0;
    noted = NULL;
    depth = 0;
}

static void note_object(enum kind kind, const void *object) {
    if (!object || !SAVES[kind] || !one_in(4)) return;
    kept_len = SAVES[kind](object, kept, sizeof kept);
    noted = kept_len ? object : NULL;
    noted_kind = kind;
}

static void end(rampmeter_status status) {
    calls++;
    if (status == RAMPMETER_STATUS_E_INTERNAL) complain("a panic");
    if (status > 0 || !strncmp(rampmeter_status_text(status), "no status", 9))
        complain("an unknown status");
    if (status == RAMPMETER_STATUS_OK) {
        accepted_now = 1;
        keep_structures();
        return;
    }
    refused++;
    /* Only `*out` of a create call may be set, to NULL, which it was. */
    for (int i = 0; i < rooms_used; i++)
        if (memcmp(lent[i].before, lent[i].begin, lent[i].bytes)) complain("memory was changed");
    /* Their manual says so: what was told to a ledger before one of its accounts refused stays told. */
    int may_change = strcmp(function_now, "rampmeter_placer_settle") == 0 ||
                     strncmp(function_now, "rampmeter_placer_cycle", 22) == 0;
    if (noted && !may_change && (SAVES[noted_kind](noted, after, sizeof after) != kept_len ||
                  memcmp(kept, after, kept_len)))
        complain("the object was changed");
}

int main(int count, char **arguments) {
    seed = count > 1 ? strtoull(arguments[1], NULL, 10) : 1;
    double seconds = count > 2 ? strtod(arguments[2], NULL) : 5;
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    for (int i = 0; i < ROOMS; i++) {
        rooms[i] = mmap(NULL, ROOM_BYTES + PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (rooms[i] == MAP_FAILED || mprotect(rooms[i] + ROOM_BYTES, PAGE, PROT_NONE)) abort();
    }
    size_t functions = sizeof CALLS / sizeof *CALLS, used[sizeof CALLS / sizeof *CALLS] = {0};
    size_t accepted[sizeof CALLS / sizeof *CALLS] = {0};
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    uint64_t first = seed;
    for (;;) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        double passed = (double)(now.tv_sec - start.tv_sec) + 1e-9 * (double)(now.tv_nsec - start.tv_nsec);
        if (passed >= seconds) break;
        /* Each seed is a run of its own, with some functions far more frequent than others. */
        state = seed;
        numbers_len = 0;
        memset(corpus, 0, sizeof corpus);
        kept_len = 0;
        uint64_t favourites[4];
        int kind_now = KINDS;
        for (int i = 0; i < 4; i++) favourites[i] = below(functions);
        now_ns = 1 + below(1000);
        for (int i = 0; i < 8000; i++) {
            uint64_t next = one_in(3) ? favourites[below(4)] : below(functions);
            /* For a while one object has most of the calls: what takes several calls to come to
             * is come to. */
            if (i % 250 == 8 * CREATES_LEN % 250) kind_now = (int)below(KINDS), place_now = below(OBJECTS);
            if (i == 8 * CREATES_LEN) {
                begin("what every run begins with");
                begin_with_states();
                kind_now = one_in(2) ? KIND_rampmeter_gate : KIND_rampmeter_batcher;
                place_now = 0;
            }
            for (int tries = 0; tries < 200 && i % 4 && KIND_OF[next] != kind_now; tries++)
                next = below(functions);
            if (i < 8 * CREATES_LEN) next = (uint64_t)CREATES[i / 8];
            accepted_now = 0;
            used[next]++;
            CALLS[next]();
            accepted[next] += (size_t)accepted_now;
        }
        for (int kind = 0; kind < KINDS; kind++)
            for (int i = 0; i < OBJECTS; i++) {
                if (objects[kind][i]) ENDS[kind](objects[kind][i]);
                objects[kind][i] = NULL;
            }
        seed++;
    }
    int never = 0;
    for (size_t i = 0; i < functions; i++) {
        if (!used[i]) complain("a function was never called");
        if (count > 3) printf("%-50s %8zu calls %8zu accepted\n", NAMES[i], used[i], accepted[i]);
        if (count <= 3 || !MUST[i] || accepted[i]) continue;
        printf("never accepted: %s (%zu calls)\n", NAMES[i], used[i]);
        never++;
    }
    printf("%llu calls of %zu functions, %llu refused, seeds %llu to %llu: no finding\n",
           (unsigned long long)calls, functions, (unsigned long long)refused,
           (unsigned long long)first, (unsigned long long)(seed - 1));
    /* In a short run it says little that something was not drawn. */
    return count > 3 && never ? 3 : 0;
}

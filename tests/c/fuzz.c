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

/* Memory that ends at a page that must not be touched. */
static unsigned char *rooms[ROOMS];
static int rooms_used, depth;
static struct {
    unsigned char *begin;
    size_t bytes;
    filler type;
    unsigned char before[ROOM_BYTES];
} lent[ROOMS];

/* The last structures of each type that a call accepted or gave out: what it takes to come further
 * than the first check. */
static struct {
    filler type;
    size_t bytes;
    unsigned char kept[4][1024];
} corpus[256];

static unsigned char *remembered(filler type, size_t bytes) {
    for (int i = 0; i < 256 && bytes <= 1024; i++) {
        if (corpus[i].type && corpus[i].type != type) continue;
        corpus[i].type = type;
        corpus[i].bytes = bytes;
        return corpus[i].kept[below(4)];
    }
    return NULL;
}

static void *lend(size_t total) {
    /* An array of structures that point on takes what there is; the rest points nowhere. */
    if (rooms_used == ROOMS || total > ROOM_BYTES) return NULL;
    unsigned char *begin = rooms[rooms_used] + ROOM_BYTES - total;
    lent[rooms_used].begin = begin;
    lent[rooms_used].type = NULL;
    lent[rooms_used++].bytes = total;
    memset(begin, 0, total);
    return begin;
}

/* Of a structure some fields are left at 0: what is wrong in one of many hides the others. */
static uint64_t sparse;
static int sets(void) { return below(8) >= sparse; }

static void fill_one(unsigned char *it, filler fill) {
    if (depth == 0) sparse = below(8);
    depth++;
    if (depth < DEEP) fill(it);
    depth--;
}

static void *room(size_t count, size_t bytes, filler fill) {
    unsigned char *begin = lend(count * bytes);
    for (size_t i = 0; begin && fill && i < count; i++) fill_one(begin + i * bytes, fill);
    return begin;
}

/* A structure that begins with its size: mostly right, sometimes old, new or nonsense. Without
 * pointers in it, it is often one that did well, with a field or two drawn anew. */
static void *room_sized(size_t bytes, filler fill, enum use use) {
    static const int sizes[] = {0, 8, 64, -8, -16};
    uint32_t size = (uint32_t)bytes;
    if (one_in(50)) size = (uint32_t)((int)bytes + sizes[below(5)]);
    if (one_in(200)) size = (uint32_t)below(5);
    /* Memory that nobody set: refused before anything of it is believed. */
    if (one_in(200)) size = 4097 + (uint32_t)(draw() >> (33 + below(16)));
    size_t total = size > bytes && size <= 4096 ? size : bytes;
    unsigned char *it = lend(total), *good = remembered(fill, bytes);
    if (!it) return NULL;
    lent[rooms_used - 1].type = use == USE_POINTERS ? NULL : fill;
    if (use != USE_OUT) {
        fill_one(it, fill);
        uint32_t was = 0;
        if (good && use == USE_IN) memcpy(&was, good, sizeof was);
        if (was && !one_in(4)) {
            unsigned char drawn[1024];
            memcpy(drawn, it, bytes);
            memcpy(it, good, bytes);
            for (uint64_t i = below(3); i > 0; i--) {
                size_t at = below(bytes / 8) * 8;
                memcpy(it + at, drawn + at, 8);
            }
        }
    }
    memcpy(it, &size, sizeof size);
    if (total > bytes && one_in(2)) it[bytes + below(total - bytes)] = 1;
    return it;
}

/* Pointers to structures, each mostly to one that is good. */
static void *room_list(size_t count, size_t bytes, filler fill, enum use use) {
    void *all[4] = {NULL, NULL, NULL, NULL};
    for (int i = 0; i < 3; i++) all[i] = room_sized(bytes, fill, use);
    void **list = room(count, sizeof *list, NULL);
    for (size_t i = 0; list && i < count; i++) list[i] = all[one_in(60) ? 3 : below(3)];
    return list;
}

static void *room_out(size_t bytes) { return room(1, bytes, NULL); }

static void *maybe_null(void *pointer) {
    return one_in(200) ? NULL : pointer;
}

/* What is drawn. */
static size_t draw_len(void) {
    if (one_in(8)) return 0;
    return one_in(4) ? 256 : one_in(3) ? below(100) : below(6);
}

static size_t draw_few(void) { return one_in(2) ? 0 : 1 + below(3); }
static size_t draw_bytes(void) { return one_in(3) ? below(200) : ROOM_BYTES - below(9); }

static uint64_t draw_uint64(const char *name) {
    size_t len = strlen(name);
    if (strcmp(name, "now_ns") == 0) {
        now_ns += below(4) * below(3000000) + (one_in(20) ? below(1u << 30) : 0);
        /* Once it was believed, nothing that is earlier is. */
        if (one_in(20000)) return draw();
        return one_in(50) ? below(now_ns) : now_ns;
    }
    if (strcmp(name, "at_ns") == 0 && one_in(2)) return now_ns;
    if (len > 3 && strcmp(name + len - 3, "_ns") == 0) {
        if (one_in(30)) return draw();
        return one_in(2) ? 0 : one_in(2) ? below(now_ns + 1) : now_ns + below(1u << 30);
    }
    switch (below(8)) {
    case 0: return one_in(3) ? draw() >> below(64) : below(4);
    case 1: return 0;
    case 2: return numbers_len ? numbers[below((uint64_t)numbers_len)].last[below(NUMBERS)] : 0;
    default: break;
    }
    int of = numbers_of(known_as(name));
    if (numbers[of].len == 0) {
        /* An account may be one of another object's, which this one is told of. */
        uint64_t from = below((uint64_t)numbers_len);
        for (int i = 0; i < numbers_len && numbers[of].len == 0; i++) {
            int other = (int)((from + (uint64_t)i) % (uint64_t)numbers_len);
            if (numbers[other].len && strcmp(numbers[other].name, numbers[of].name) == 0) of = other;
        }
    }
    /* What nobody gave out is no handle. */
    if (numbers[of].len == 0) return 1 + below(20);
    /* The one that came last is the least likely to have ended. */
    if (one_in(3)) return numbers[of].last[numbers[of].newest];
    return numbers[of].last[below((uint64_t)numbers[of].len)];
}
static uint32_t draw_uint32(const char *name) {
    if (strcmp(name, "reserved") == 0) return one_in(100) ? 1 : 0;
    if (strcmp(name, "class_index") == 0 && !one_in(8)) return (uint32_t)below(2);
    if (strcmp(name, "kv_blocks") == 0 && !one_in(8)) return 1000;
    if (strcmp(name, "servers") == 0 && !one_in(20)) return (uint32_t)below(4);
    if (strstr(name, "tokens") && !one_in(4)) return 1 + (uint32_t)below(300);
    /* What 0 stands for is large, and an object that is created with it takes its time. */
    size_t len = strlen(name);
    if (len > 4 && strcmp(name + len - 4, "_max") == 0 && !one_in(40)) return 1 + (uint32_t)below(40);
    /* Seldom: an object that is created with it takes its time. */
    if (one_in(60)) return (uint32_t)(draw() >> (32 + below(32)));
    if (one_in(60)) return UINT32_MAX - (uint32_t)below(3);
    switch (below(8)) {
    case 0: return (uint32_t)below(2000);
    case 1: return (uint32_t)below(200);
    case 2: case 3: return 0;
    default: return (uint32_t)below(5);
    }
}
static uint16_t draw_uint16(const char *name) { return (uint16_t)draw_uint32(name); }
static int32_t draw_int32(const char *name) { return (int32_t)draw_uint32(name); }
static int64_t draw_int64(const char *name) { return (int64_t)draw_uint64(name); }
static int32_t draw_i32(void) { return (int32_t)draw(); }
static size_t draw_size(const char *name) { return (size_t)draw_uint32(name); }
static uint8_t draw_uint8(const char *name) {
    if (strcmp(name, "reserved") == 0) return one_in(300) ? 1 : 0;
    return one_in(10) ? (uint8_t)draw() : (uint8_t)below(2);
}
static char draw_char(const char *name) { return (char)('a' + (int)below(strlen(name) + 4)); }
static double draw_double(const char *name) {
    /* Cheaper than to compute it again. */
    if (strstr(name, "_s_per_block") && !one_in(8)) return 1e-6;
    if (strcmp(name, "damping") == 0 && !one_in(8)) return 1 + (double)below(4);
    static const double drawn[] = {0, 1, 0.5, 2, 100, 1e-3, 1e-9, 3e4, 1e300, -1, -1e-9, 5e-324};
    if (one_in(40)) return one_in(2) ? (double)NAN : (double)INFINITY;
    return one_in(3) ? (double)below(1000) / 100 : drawn[below(one_in(6) ? 12 : 8)];
}
static void fill_uint8_t(void *it) { *(uint8_t *)it = (uint8_t)draw(); }
static void fill_uint16_t(void *it) { *(uint16_t *)it = (uint16_t)draw_uint32(""); }
static void fill_uint32_t(void *it) { *(uint32_t *)it = draw_uint32(""); }
static void fill_uint64_t(void *it) { *(uint64_t *)it = draw_uint64(""); }
static void fill_double(void *it) { *(double *)it = draw_double(""); }

static rampmeter_error *draw_error(void) {
    static rampmeter_error error;
    return one_in(4) ? NULL : &error;
}

static const char *draw_name(void) {
    static const char *const drawn[] = {
        "interactive", "batch", "balanced", "throughput", "a", "b", "llama-3.1-8b", "qwen3-32b",
        "value", "a100-80gb", "", "\xff\xfe", "no such thing", "a/b", "gpu", "cpu",
    };
    return one_in(50) ? NULL : drawn[below(sizeof drawn / sizeof *drawn)];
}

static const char *draw_document(size_t *len) {
    static const char *const drawn[] = {
        "",
        "{}",
        "[limits]\nrunning_max = 8\nrequests_max = 40\naccounts_max = 12\n"
        "[[account]]\nname = \"a\"\n[[account]]\nname = \"b\"\nweight = 3\n",
        "[limits]\nrunning_max = 4\nrequests_max = 12\naccounts_max = 6\nreplicas_max = 3\n"
        "adapters_max = 3\nadapter_slots_max = 2\nsteps_in_flight_max = 3\n"
        "[[account]]\nname = \"a\"\nqueue_requests_max = 3\n",
        "[limits]\nrunning_max = 4\nrequests_max = 12\naccounts_max = 6\n"
        "[batch]\nmode = \"prefill\"\n[[account]]\nname = \"a\"\n",
        "{\"limits\": {\"running_max\": 6, \"requests_max\": 20, \"accounts_max\": 9}}",
        "[limits]\nrunning_max = 0\n",
        "[[class]]\nname = \"only\"\n",
        "\xff",
        "nonsense",
    };
    /* The first two are taken as they are, but an object under them takes its time. */
    const char *text = drawn[one_in(40) ? below(2) : 2 + below(sizeof drawn / sizeof *drawn - 2)];
    *len = strlen(text);
    if (*len && one_in(20)) *len = below(*len);
    char *copy = room(*len, 1, NULL);
    if (copy) memcpy(copy, text, *len);
    return copy;
}

/* The object before the call, if it can be saved. */
static uint8_t after[1 << 20];
static enum kind noted_kind;
static const void *noted;

static const uint8_t *draw_snapshot(size_t *len) {
    *len = kept_len < ROOM_BYTES ? kept_len : ROOM_BYTES;
    if (*len && one_in(6)) *len = below(*len);
    uint8_t *copy = room(*len, 1, NULL);
    if (!copy) return NULL;
    memcpy(copy, kept, *len);
    if (*len && one_in(3)) copy[below(*len)] ^= (uint8_t)(1u << below(8));
    return copy;
}

static uint32_t cached_tokens(void *context, uint64_t request, uint64_t tag) {
    (void)context;
    /* One of them is in the middle of the call that this one comes from. */
    for (int i = 0; i < OBJECTS && one_in(3); i++) {
        void *batcher = objects[KIND_rampmeter_batcher][i];
        if (rampmeter_batcher_cancel(batcher, 0, request, NULL) == RAMPMETER_STATUS_OK)
            complain("a call from within a call was accepted");
        (void)tag;
    }
    return draw_uint32("cached_tokens");
}
static rampmeter_cached_tokens_fn draw_fn_rampmeter_cached_tokens_fn(void) {
    return one_in(3) ? NULL : cached_tokens;
}

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

static void note_lent(void) {
    for (int i = 0; i < rooms_used; i++)
        memcpy(lent[i].before, lent[i].begin, lent[i].bytes);
}

static void keep_structures(void) {
    for (int i = 0; i < rooms_used; i++) {
        uint32_t size = 0;
        if (lent[i].type) memcpy(&size, lent[i].begin, sizeof size);
        size_t bytes = lent[i].bytes;
        unsigned char *place = lent[i].type && size == bytes ? remembered(lent[i].type, bytes) : NULL;
        if (place) memcpy(place, lent[i].begin, bytes);
    }
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

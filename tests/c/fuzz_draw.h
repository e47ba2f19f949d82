/* What is drawn: numbers by their names, texts, and saved objects. Part of fuzz.c. */

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
    /* Mostly a file or nobody: a driver, where there is one, takes its time. */
    if (strcmp(name, "backend") == 0) return one_in(4) ? (uint32_t)below(7) : 1 + (uint32_t)below(2);
    if (strstr(name, "place") && !one_in(20)) return (uint32_t)below(4);
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
        "value", "a100-80gb", "", "\xff\xfe", "no such thing", "a/b", "gpu", "cpu", "PCI_BUS_ID", "1,0",
        "GPU-a1000000-0000-4000-8000-000000000000", MACHINE, MACHINE, MACHINE,
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

/* Memory that is lent to the library: its end lies at a page that must not be touched, and what a call
 * accepted or gave out is lent again. Part of fuzz.c. */

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

/* What the generated calls draw from; fuzz.c defines it. */
#include <stddef.h>
#include <stdint.h>

#include <rampmeter.h>

typedef void (*filler)(void *);
/* Four GPUs and instances; the fuzzer runs in the root of the project. */
#define MACHINE "examples/probe/mixed.json"

enum use { USE_IN, USE_POINTERS /* comes in, and points to more */, USE_OUT };

static int accepted_now;
static uint64_t now_ns;
static uint8_t kept[1 << 20];
static size_t kept_len;
static uint64_t below(uint64_t n);
static void complain(const char *what);
static void settle(enum kind kind, void *object);
static void keep(const char *name, uint64_t number);
static void begin(const char *function);
static void end(rampmeter_status status);
static void note_object(enum kind kind, const void *object);
static void note_lent(void);
static void created(enum kind kind, void *object);
static void forget(enum kind kind, void *object);
static void *pick(enum kind kind);

static void *room(size_t count, size_t bytes, filler fill);
static void *room_sized(size_t bytes, filler fill, enum use use);
static void *room_list(size_t count, size_t bytes, filler fill, enum use use);
static void *room_out(size_t bytes);
static void *maybe_null(void *pointer);

static int one_in(uint64_t n);
static int sets(void);
static size_t draw_len(void);
static size_t draw_bytes(void);
static size_t draw_few(void);
static uint8_t draw_uint8(const char *name);
static uint16_t draw_uint16(const char *name);
static uint32_t draw_uint32(const char *name);
static int32_t draw_int32(const char *name);
static int64_t draw_int64(const char *name);
static int32_t draw_i32(void);
static uint64_t draw_uint64(const char *name);
static size_t draw_size(const char *name);
static double draw_double(const char *name);
static char draw_char(const char *name);
static rampmeter_error *draw_error(void);
static const char *draw_name(void);
static const char *draw_document(size_t *len);
static const uint8_t *draw_snapshot(size_t *len);
static rampmeter_cached_tokens_fn draw_fn_rampmeter_cached_tokens_fn(void);
static void fill_uint8_t(void *it);
static void fill_uint16_t(void *it);
static void fill_uint32_t(void *it);
static void fill_uint64_t(void *it);
static void fill_double(void *it);

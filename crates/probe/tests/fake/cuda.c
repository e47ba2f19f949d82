/* The CUDA driver as a scenario has it (spec.h). Names, arguments and numbers are NVIDIA's. */
#include "spec.h"

enum { OK = 0, INVALID_VALUE = 1, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_CONTEXT = 201 };
static int ready, active[DEVICES];
static __thread void *current;

#define GATE(call, d, out, size) do { long a_ = gate(call, d); if (a_) return (int)(a_ - 1); if (fake.fuzz) return (int)drawn(out, size); } while (0)
#define READY() if (!ready) return NOT_INITIALIZED

/* The device behind an ordinal: as the scenario says, else GPUs that are not cut, in their order. */
static dev *at(int ordinal)
{
    if (fake.order_n) return ordinal >= 0 && ordinal < fake.order_n ? &fake.devs[fake.order[ordinal]] : NULL;
    for (int i = 0, n = 0; i < fake.n; i++)
        if (fake.devs[i].parent < 0 && !fake.devs[i].mig && n++ == ordinal) return &fake.devs[i];
    return NULL;
}
static int count(void) { int n = 0; while (at(n)) n++; return n; }
#define DEVICE(call, d, out, size) GATE(call, d, out, size); READY(); if (!at(d)) return INVALID_DEVICE

API int cuInit(unsigned flags) { (void)flags; GATE("cuInit", -1, NULL, 0); ready = count() > 0; return ready ? OK : NO_DEVICE; }
API int cuDriverGetVersion(int *v) { GATE("cuDriverGetVersion", -1, v, sizeof *v); *v = 13000; return OK; }
API int cuDeviceGetCount(int *n) { GATE("cuDeviceGetCount", -1, n, sizeof *n); READY(); *n = count(); return OK; }
API int cuDeviceGet(int *d, int ordinal) { DEVICE("cuDeviceGet", ordinal, d, sizeof *d); *d = ordinal; return OK; }
API int cuDeviceGetName(char *s, int n, int d) { DEVICE("cuDeviceGetName", d, s, (size_t)n); snprintf(s, (size_t)n, "%s", at(d)->name); return OK; }
static void uuid(const dev *d, unsigned char *out)
{
    int n = 0;
    memset(out, 0, 16);
    for (const char *p = d->uuid + 4; *p && n < 32; p++) {
        unsigned v;
        char digit[2] = {*p, 0};
        if (*p != '-' && sscanf(digit, "%x", &v) == 1) { out[n / 2] = (unsigned char)(out[n / 2] << 4 | v); n++; }
    }
}
API int cuDeviceGetUuid(unsigned char *u, int d) { DEVICE("cuDeviceGetUuid", d, u, 16); uuid(at(d)->parent < 0 ? at(d) : &fake.devs[at(d)->parent], u); return OK; }
API int cuDeviceGetUuid_v2(unsigned char *u, int d) { DEVICE("cuDeviceGetUuid_v2", d, u, 16); uuid(at(d), u); return OK; }
API int cuDeviceTotalMem_v2(size_t *n, int d) { DEVICE("cuDeviceTotalMem_v2", d, n, sizeof *n); *n = at(d)->total - at(d)->reserved; return OK; }
API int cuDeviceGetAttribute(int *v, int which, int d)
{
    DEVICE("cuDeviceGetAttribute", d, v, sizeof *v);
    dev *g = at(d);
    *v = which == 18 ? g->integrated : which == 33 ? (int)g->bus : which == 34 ? (int)g->slot : which == 50 ? (int)g->domain
       : which == 75 ? g->major : which == 76 ? g->minor : 0;
    return OK;
}
API int cuDevicePrimaryCtxGetState(int d, unsigned *flags, int *is) { DEVICE("cuDevicePrimaryCtxGetState", d, is, sizeof *is); *flags = 0; *is = active[d] > 0; return OK; }
API int cuDevicePrimaryCtxRetain(void **c, int d) { DEVICE("cuDevicePrimaryCtxRetain", d, c, sizeof *c); active[d]++; *c = &active[d]; return OK; }
API int cuDevicePrimaryCtxRelease_v2(int d) { DEVICE("cuDevicePrimaryCtxRelease_v2", d, NULL, 0); if (!active[d]) return INVALID_CONTEXT; active[d]--; return OK; }
API int cuCtxSetCurrent(void *c) { GATE("cuCtxSetCurrent", -1, NULL, 0); READY(); current = c; return OK; }
API int cuCtxGetCurrent(void **c) { GATE("cuCtxGetCurrent", -1, c, sizeof *c); READY(); *c = current; return OK; }
API int cuMemGetInfo_v2(size_t *free_, size_t *total)
{
    int d = current ? (int)((int *)current - active) : -1;
    GATE("cuMemGetInfo_v2", d, free_, sizeof *free_);
    READY();
    if (d < 0) return INVALID_CONTEXT;
    *total = at(d)->total - at(d)->reserved;
    *free_ = at(d)->free;
    return OK;
}

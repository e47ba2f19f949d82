/* NVML as a scenario has it (spec.h). Names, arguments, layouts and numbers are NVIDIA's. */
#include "spec.h"

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, UNSUPPORTED = 3, NOT_FOUND = 6, SIZE = 7, TIMEOUT = 10, VERSION = 25 };
typedef dev *handle;

static int number(handle d) { return fake.fuzz || d < fake.devs || d >= fake.devs + DEVICES ? -1 : (int)(d - fake.devs); }
#define GATE(call, d) do { long a_ = gate(call, d); if (a_) return (unsigned)(a_ - 1); } while (0)
/* a call of the system: out and size are what a drawn answer may write */
#define SYSTEM(call, out, size) GATE(call, -1); if (fake.fuzz) return drawn(out, size); if (!fake.opened) return UNINITIALIZED
#define DEVICE(call, d, out, size) GATE(call, number(d)); if (fake.fuzz) return drawn(out, size); if (number(d) < 0) return INVALID
#define WHOLE(d) if ((d)->parent >= 0) return UNSUPPORTED

static unsigned text(char *to, unsigned size, const char *from)
{
    if (strlen(from) + 1 > size) return SIZE;
    strcpy(to, from);
    return OK;
}
static int gpus(int *out)
{
    int n = 0;
    for (int i = 0; i < fake.n; i++) if (fake.devs[i].parent < 0) out[n++] = i;
    return n;
}

API unsigned nvmlInit_v2(void)
{
    GATE("nvmlInit_v2", -1);
    __atomic_add_fetch(&fake.opened, 1, __ATOMIC_SEQ_CST);
    return fake.fuzz && draw() % 64 == 0 ? drawn(NULL, 0) : OK;
}
API unsigned nvmlShutdown(void) { SYSTEM("nvmlShutdown", NULL, 0); __atomic_sub_fetch(&fake.opened, 1, __ATOMIC_SEQ_CST); return OK; }
API unsigned nvmlSystemGetDriverVersion(char *s, unsigned n) { SYSTEM("nvmlSystemGetDriverVersion", s, n); return text(s, n, fake.driver); }
API unsigned nvmlSystemGetNVMLVersion(char *s, unsigned n) { SYSTEM("nvmlSystemGetNVMLVersion", s, n); return text(s, n, "13.580.95.05"); }
API unsigned nvmlSystemGetCudaDriverVersion_v2(int *v) { SYSTEM("nvmlSystemGetCudaDriverVersion_v2", v, sizeof *v); *v = 13000; return OK; }
API unsigned nvmlDeviceGetCount_v2(unsigned *n)
{
    int list[DEVICES];
    GATE("nvmlDeviceGetCount_v2", -1);
    if (fake.fuzz) { *n = draw() % 16 ? (unsigned)(draw() % 12) : (unsigned)draw(); return draw() % 32 ? OK : drawn(NULL, 0); }
    if (!fake.opened) return UNINITIALIZED;
    *n = (unsigned)gpus(list);
    return OK;
}
API unsigned nvmlDeviceGetHandleByIndex_v2(unsigned i, handle *d)
{
    int list[DEVICES], n = gpus(list);
    GATE("nvmlDeviceGetHandleByIndex_v2", i < (unsigned)n ? list[i] : -1);
    if (fake.fuzz) { *d = (handle)(uintptr_t)draw(); return draw() % 8 ? OK : drawn(d, sizeof *d); }
    n = gpus(list);
    if (i >= (unsigned)n) return INVALID;
    *d = &fake.devs[list[i]];
    return OK;
}
API unsigned nvmlDeviceGetUUID(handle d, char *s, unsigned n) { DEVICE("nvmlDeviceGetUUID", d, s, n); return text(s, n, d->uuid); }
API unsigned nvmlDeviceGetName(handle d, char *s, unsigned n) { DEVICE("nvmlDeviceGetName", d, s, n); return text(s, n, d->name); }
API unsigned nvmlDeviceGetCudaComputeCapability(handle d, int *a, int *b)
{
    DEVICE("nvmlDeviceGetCudaComputeCapability", d, a, sizeof *a);
    *a = d->major; *b = d->minor;
    return OK;
}
typedef struct { char legacy[16]; unsigned domain, bus, device, id, sub; char text[32]; } pci;
static void address(const dev *d, pci *p) { memset(p, 0, sizeof *p); p->domain = d->domain; p->bus = d->bus; p->device = d->slot; }
API unsigned nvmlDeviceGetPciInfo_v3(handle d, pci *p) { DEVICE("nvmlDeviceGetPciInfo_v3", d, p, sizeof *p); WHOLE(d); address(d, p); return OK; }

API unsigned nvmlDeviceGetMemoryInfo(handle d, uint64_t *m)
{
    DEVICE("nvmlDeviceGetMemoryInfo", d, m, 24);
    if (d->no_memory) return UNSUPPORTED;
    m[0] = d->total; m[1] = d->free; m[2] = d->used + d->reserved;
    return OK;
}
typedef struct { unsigned version; uint64_t total, reserved, free, used; } memory;
API unsigned nvmlDeviceGetMemoryInfo_v2(handle d, memory *m)
{
    DEVICE("nvmlDeviceGetMemoryInfo_v2", d, m, sizeof *m);
    if (m->version != (sizeof *m | 2u << 24)) return VERSION;
    if (d->no_memory) return UNSUPPORTED;
    m->total = d->total; m->reserved = d->reserved; m->free = d->free; m->used = d->used;
    return OK;
}
static unsigned processes(handle d, unsigned *n, unsigned char *out)
{
    unsigned room = *n;
    if (fake.fuzz) {
        unsigned said = draw() % 4 ? (unsigned)(draw() % 40) : (unsigned)draw();
        unsigned written = (unsigned)(draw() % 40);
        if (written > room) written = room;
        drawn(out, (size_t)written * 32);
        *n = said;
        return draw() % 4 ? OK : draw() % 2 ? SIZE : drawn(NULL, 0);
    }
    *n = (unsigned)d->processes;
    if (*n > room) return SIZE;
    for (unsigned i = 0; i < *n; i++) {
        unsigned char *at = out + (size_t)i * (size_t)fake.stride;
        unsigned gi = d->parent < 0 ? ~0u : d->gi;
        uint64_t zero = 0;
        memcpy(at, &d->pids[i], 4);
        memcpy(at + 8, &d->bytes[i], 8);
        if (fake.stride >= 24) { memcpy(at + 16, &gi, 4); memcpy(at + 20, &gi, 4); }
        if (fake.stride >= 32) memcpy(at + 24, &zero, 8);
    }
    return OK;
}
API unsigned nvmlDeviceGetComputeRunningProcesses_v3(handle d, unsigned *n, unsigned char *out)
{
    GATE("nvmlDeviceGetComputeRunningProcesses_v3", number(d));
    return processes(d, n, out);
}
API unsigned nvmlDeviceGetComputeRunningProcesses_v2(handle d, unsigned *n, unsigned char *out)
{
    GATE("nvmlDeviceGetComputeRunningProcesses_v2", number(d));
    return processes(d, n, out);
}
API unsigned nvmlDeviceGetUtilizationRates(handle d, unsigned *u)
{
    DEVICE("nvmlDeviceGetUtilizationRates", d, u, 8);
    if (d->mig || d->parent >= 0) return UNSUPPORTED;
    u[0] = d->util; u[1] = d->util_memory;
    return OK;
}
#define COUNTER(call, field) API unsigned call(handle d, unsigned *v) { DEVICE(#call, d, v, sizeof *v); WHOLE(d); *v = d->field; return OK; }
COUNTER(nvmlDeviceGetPowerUsage, power)
COUNTER(nvmlDeviceGetEnforcedPowerLimit, limit)
API unsigned nvmlDeviceGetTemperature(handle d, int sensor, unsigned *v) { DEVICE("nvmlDeviceGetTemperature", d, v, sizeof *v); (void)sensor; *v = d->temp; return OK; }
API unsigned nvmlDeviceGetClockInfo(handle d, int which, unsigned *v) { DEVICE("nvmlDeviceGetClockInfo", d, v, sizeof *v); *v = which == 2 ? d->clock_memory : d->sm; return OK; }
API unsigned nvmlDeviceGetCurrentClocksEventReasons(handle d, uint64_t *v) { DEVICE("nvmlDeviceGetCurrentClocksEventReasons", d, v, sizeof *v); *v = d->throttle; return OK; }
API unsigned nvmlDeviceGetCurrentClocksThrottleReasons(handle d, uint64_t *v) { DEVICE("nvmlDeviceGetCurrentClocksThrottleReasons", d, v, sizeof *v); *v = d->throttle; return OK; }

API unsigned nvmlDeviceGetMigMode(handle d, unsigned *now, unsigned *pending)
{
    DEVICE("nvmlDeviceGetMigMode", d, now, sizeof *now);
    if (d->major < 8) return UNSUPPORTED;
    *now = *pending = (unsigned)d->mig;
    return OK;
}
API unsigned nvmlDeviceGetMaxMigDeviceCount(handle d, unsigned *n) { DEVICE("nvmlDeviceGetMaxMigDeviceCount", d, n, sizeof *n); *n = 7; return OK; }
/* The place of an instance is its `gi` less one, so that there are gaps. */
API unsigned nvmlDeviceGetMigDeviceHandleByIndex(handle d, unsigned i, handle *out)
{
    DEVICE("nvmlDeviceGetMigDeviceHandleByIndex", d, out, sizeof *out);
    if (i >= 7) return INVALID;
    for (int k = 0; k < fake.n; k++)
        if (fake.devs[k].parent == number(d) && fake.devs[k].gi == i + 1) { *out = &fake.devs[k]; return OK; }
    return NOT_FOUND;
}
API unsigned nvmlDeviceGetGpuInstanceId(handle d, unsigned *v) { DEVICE("nvmlDeviceGetGpuInstanceId", d, v, sizeof *v); *v = d->gi; return OK; }
API unsigned nvmlDeviceGetComputeInstanceId(handle d, unsigned *v) { DEVICE("nvmlDeviceGetComputeInstanceId", d, v, sizeof *v); *v = d->ci; return OK; }

API unsigned nvmlDeviceGetTopologyCommonAncestor(handle a, handle b, unsigned *level)
{
    DEVICE("nvmlDeviceGetTopologyCommonAncestor", a, level, sizeof *level);
    *level = a->numa == b->numa ? 40 : 50;
    return OK;
}
/* The GPU at the other end: of `peers`, by its place among GPUs; -1: a switch. */
static int peer(handle d, unsigned link, int *out)
{
    int n = 0;
    for (const char *p = d->peers; *p; p++) {
        char *end;
        long at = strtol(p, &end, 10);
        if ((unsigned)n++ == link) { *out = (int)at; return 1; }
        p = end;
        if (!*p) break;
    }
    *out = -1;
    return link < (unsigned)(n + d->links);
}
API unsigned nvmlDeviceGetNvLinkState(handle d, unsigned link, unsigned *v)
{
    int to;
    DEVICE("nvmlDeviceGetNvLinkState", d, v, sizeof *v);
    if (!d->peers[0] && !d->links) return UNSUPPORTED;
    if (link >= 18) return INVALID;
    *v = (unsigned)peer(d, link, &to);
    return OK;
}
API unsigned nvmlDeviceGetNvLinkVersion(handle d, unsigned link, unsigned *v) { (void)link; DEVICE("nvmlDeviceGetNvLinkVersion", d, v, sizeof *v); *v = 4; return OK; }
API unsigned nvmlDeviceGetNvLinkRemoteDeviceType(handle d, unsigned link, unsigned *v)
{
    int to;
    DEVICE("nvmlDeviceGetNvLinkRemoteDeviceType", d, v, sizeof *v);
    peer(d, link, &to);
    *v = to < 0 ? 2 : 0;
    return OK;
}
API unsigned nvmlDeviceGetNvLinkRemotePciInfo_v2(handle d, unsigned link, pci *p)
{
    int to;
    DEVICE("nvmlDeviceGetNvLinkRemotePciInfo_v2", d, p, sizeof *p);
    if (!peer(d, link, &to) || to < 0 || to >= fake.n) return UNSUPPORTED;
    address(&fake.devs[to], p);
    return OK;
}
API unsigned nvmlDeviceGetCpuAffinity(handle d, unsigned words, unsigned long *out)
{
    DEVICE("nvmlDeviceGetCpuAffinity", d, out, words * sizeof *out);
    if (!d->cpus) return UNSUPPORTED;
    memset(out, 0, words * sizeof *out);
    out[0] = d->cpus;
    return OK;
}
API unsigned nvmlDeviceGetMemoryAffinity(handle d, unsigned words, unsigned long *out, int scope)
{
    (void)scope;
    DEVICE("nvmlDeviceGetMemoryAffinity", d, out, words * sizeof *out);
    if (d->numa < 0) return UNSUPPORTED;
    memset(out, 0, words * sizeof *out);
    out[0] = 1ul << d->numa;
    return OK;
}
API unsigned nvmlDeviceGetNumaNodeId(handle d, unsigned *v) { DEVICE("nvmlDeviceGetNumaNodeId", d, v, sizeof *v); if (d->numa < 0) return UNSUPPORTED; *v = (unsigned)d->numa; return OK; }

static int the_set;
typedef struct { handle device; uint64_t type, data; unsigned gi, ci; } event;
API unsigned nvmlEventSetCreate(void **s) { SYSTEM("nvmlEventSetCreate", s, sizeof *s); *s = &the_set; return OK; }
API unsigned nvmlEventSetFree(void *s) { SYSTEM("nvmlEventSetFree", NULL, 0); return s == &the_set ? OK : INVALID; }
API unsigned nvmlDeviceGetSupportedEventTypes(handle d, uint64_t *v) { DEVICE("nvmlDeviceGetSupportedEventTypes", d, v, sizeof *v); *v = 8; return OK; }
API unsigned nvmlDeviceRegisterEvents(handle d, uint64_t types, void *s) { (void)types; (void)s; DEVICE("nvmlDeviceRegisterEvents", d, NULL, 0); return OK; }
API unsigned nvmlEventSetWait_v2(void *s, event *e, unsigned ms)
{
    (void)s;
    SYSTEM("nvmlEventSetWait_v2", e, sizeof *e);
    for (int i = 0; i < fake.events_n; i++) {
        if (fake.events[i].taken) continue;
        fake.events[i].taken = 1;
        *e = (event){&fake.devs[fake.events[i].dev], 8, fake.events[i].code, ~0u, ~0u};
        return OK;
    }
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    if (ms) nanosleep(&t, NULL);
    return TIMEOUT;
}

/* A driver library that is not one: what a scenario says is what its calls answer.
 *
 * The scenario is the file `spec` in the library's own folder, read again when it was replaced. So
 * each test has a folder with a copy of the library, and many run side by side in one process.
 *
 *   driver VERSION
 *   gpu KEY=VALUE...         in the order of NVML; '_' in a name is a space
 *   instance KEY=VALUE...    of the GPU before it
 *   when CALL|PREFIX* [dev=N] [answer=CODE] [stall_ms=N] [after=N] [count=N]
 *   xid DEV CODE             one event
 *   stride BYTES             of an entry in a list of processes (24)
 *   cuda DEV...              devices in the order of CUDA (that of NVML)
 *   fuzz SEED                every answer is drawn
 *   still                    the scenario is never looked at again: a call takes nanoseconds
 *   log                      each call is a line `CALL DEV` in the file `log`
 */
#ifndef FAKE_SPEC_H
#define FAKE_SPEC_H
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))
enum { DEVICES = 256, PROCESSES = 64, RULES = 64, EVENTS = 64 };

typedef struct {
    int parent; /* -1: a GPU */
    char uuid[96], name[96], peers[64];
    unsigned domain, bus, slot, gi, ci;
    int major, minor, numa, mig, no_memory, integrated;
    uint64_t total, free, used, reserved, cpus, throttle;
    unsigned util, util_memory, power, limit, sm, clock_memory, temp;
    unsigned pids[PROCESSES];
    uint64_t bytes[PROCESSES];
    int processes, links;
} dev;

typedef struct { char call[64]; int dev, answer, has_answer, stall_ms; long after, count, hits; } rule;

static struct {
    dev devs[DEVICES];
    rule rules[RULES];
    struct { int dev; uint64_t code; int taken; } events[EVENTS];
    int order[DEVICES];
    int n, rules_n, events_n, order_n, log, fuzz, still, stride, opened;
    uint64_t seed;
    char driver[80];
} fake;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[4096];
static struct timespec seen;
static ino_t seen_inode;

static uint64_t draw(void)
{
    uint64_t z = (fake.seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void spaced(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
    for (char *p = to; *p; p++) if (*p == '_') *p = ' ';
}

static void set(dev *d, const char *key, const char *value)
{
    uint64_t number = strtoull(value, NULL, 0);
    if (!strcmp(key, "uuid")) snprintf(d->uuid, sizeof d->uuid, "%s", value);
    else if (!strcmp(key, "name")) spaced(d->name, sizeof d->name, value);
    else if (!strcmp(key, "pci")) sscanf(value, "%x:%x:%x", &d->domain, &d->bus, &d->slot);
    else if (!strcmp(key, "cc")) sscanf(value, "%d.%d", &d->major, &d->minor);
    else if (!strcmp(key, "numa")) d->numa = (int)number;
    else if (!strcmp(key, "mig")) d->mig = (int)number;
    else if (!strcmp(key, "memory")) d->no_memory = !strcmp(value, "none");
    else if (!strcmp(key, "integrated")) d->integrated = (int)number;
    else if (!strcmp(key, "total")) d->total = number;
    else if (!strcmp(key, "free")) d->free = number;
    else if (!strcmp(key, "used")) d->used = number;
    else if (!strcmp(key, "reserved")) d->reserved = number;
    else if (!strcmp(key, "cpus")) d->cpus = number;
    else if (!strcmp(key, "throttle")) d->throttle = number;
    else if (!strcmp(key, "util")) sscanf(value, "%u,%u", &d->util, &d->util_memory);
    else if (!strcmp(key, "power")) sscanf(value, "%u,%u", &d->power, &d->limit);
    else if (!strcmp(key, "clocks")) sscanf(value, "%u,%u", &d->sm, &d->clock_memory);
    else if (!strcmp(key, "temp")) d->temp = (unsigned)number;
    else if (!strcmp(key, "gi")) d->gi = (unsigned)number;
    else if (!strcmp(key, "ci")) d->ci = (unsigned)number;
    else if (!strcmp(key, "links")) { d->links = (int)number; } /* to a switch */
    else if (!strcmp(key, "peers")) snprintf(d->peers, sizeof d->peers, "%s", value); /* 1,1,2 */
    else if (!strcmp(key, "proc") && d->processes < PROCESSES) {
        unsigned long long bytes = UINT64_MAX;
        sscanf(value, "%u:%llu", &d->pids[d->processes], &bytes);
        d->bytes[d->processes++] = bytes;
    } else { fprintf(stderr, "fake: unknown key %s\n", key); abort(); }
}

static void add_rule(char *rest)
{
    rule *r = &fake.rules[fake.rules_n++];
    *r = (rule){.dev = -1, .count = -1};
    char *save, *word = strtok_r(rest, " ", &save);
    snprintf(r->call, sizeof r->call, "%s", word);
    while ((word = strtok_r(NULL, " ", &save))) {
        long number = strtol(strchr(word, '=') + 1, NULL, 0);
        if (!strncmp(word, "dev=", 4)) r->dev = (int)number;
        else if (!strncmp(word, "answer=", 7)) { r->answer = (int)number; r->has_answer = 1; }
        else if (!strncmp(word, "stall_ms=", 9)) r->stall_ms = (int)number;
        else if (!strncmp(word, "after=", 6)) r->after = number;
        else if (!strncmp(word, "count=", 6)) r->count = number;
    }
}

static void add_device(char *rest, int parent)
{
    dev *d = &fake.devs[fake.n++];
    *d = (dev){.parent = parent, .numa = -1, .major = 9, .total = 16ull << 30, .free = 15ull << 30,
               .used = 512ull << 20, .reserved = 512ull << 20, .sm = 1980, .clock_memory = 2619,
               .power = 70000, .limit = 700000, .temp = 35};
    snprintf(d->uuid, sizeof d->uuid, "GPU-00000000-0000-0000-0000-0000000000%02x", fake.n - 1);
    snprintf(d->name, sizeof d->name, "Fake GPU");
    d->bus = 0x10 + (unsigned)fake.n;
    char *save, *word;
    for (word = strtok_r(rest, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char *equals = strchr(word, '=');
        *equals = 0;
        set(d, word, equals + 1);
    }
}

static void parse(FILE *file)
{
    int opened = fake.opened, gpu = -1;
    char line[4096];
    memset(&fake, 0, sizeof fake);
    fake.opened = opened;
    fake.stride = 24;
    snprintf(fake.driver, sizeof fake.driver, "580.95.05");
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *rest = strchr(line, ' ');
        if (rest) *rest++ = 0; else rest = line + strlen(line);
        if (!strcmp(line, "gpu")) { gpu = fake.n; add_device(rest, -1); }
        else if (!strcmp(line, "instance")) add_device(rest, gpu);
        else if (!strcmp(line, "when")) add_rule(rest);
        else if (!strcmp(line, "driver")) snprintf(fake.driver, sizeof fake.driver, "%s", rest);
        else if (!strcmp(line, "stride")) fake.stride = atoi(rest);
        else if (!strcmp(line, "log")) fake.log = 1;
        else if (!strcmp(line, "still")) fake.still = 1;
        else if (!strcmp(line, "fuzz")) { fake.fuzz = 1; fake.seed = strtoull(rest, NULL, 0); }
        else if (!strcmp(line, "xid")) {
            unsigned long long code;
            sscanf(rest, "%d %llu", &fake.events[fake.events_n].dev, &code);
            fake.events[fake.events_n++].code = code;
        } else if (!strcmp(line, "cuda")) {
            char *save, *word;
            for (word = strtok_r(rest, " ", &save); word; word = strtok_r(NULL, " ", &save))
                fake.order[fake.order_n++] = atoi(word);
        }
    }
}

/* Reads the scenario if it is not the one that was read. */
static void load(void)
{
    char path[4200];
    struct stat now;
    if (fake.fuzz || fake.still) return;
    if (!folder[0]) {
        Dl_info self;
        if (!dladdr((void *)load, &self)) abort();
        snprintf(folder, sizeof folder, "%s", self.dli_fname);
        char *slash = strrchr(folder, '/');
        if (slash) *slash = 0; else snprintf(folder, sizeof folder, ".");
    }
    snprintf(path, sizeof path, "%s/spec", folder);
    if (stat(path, &now)) return;
    if (now.st_ino == seen_inode && now.st_mtim.tv_sec == seen.tv_sec && now.st_mtim.tv_nsec == seen.tv_nsec)
        return;
    FILE *file = fopen(path, "r");
    if (!file) return;
    seen = now.st_mtim;
    seen_inode = now.st_ino;
    parse(file);
    fclose(file);
}

static int matches(const char *pattern, const char *call)
{
    size_t n = strlen(pattern);
    return n && pattern[n - 1] == '*' ? !strncmp(pattern, call, n - 1) : !strcmp(pattern, call);
}

/* What every call begins with. Nonzero: the status that it ends with, plus one. */
static long gate(const char *call, int d)
{
    long answer = 0, stall_ms = 0;
    pthread_mutex_lock(&lock);
    load();
    for (int i = 0; i < fake.rules_n; i++) {
        rule *r = &fake.rules[i];
        if ((r->dev >= 0 && r->dev != d) || !matches(r->call, call)) continue;
        long hit = r->hits++;
        if (hit < r->after || (r->count >= 0 && hit >= r->after + r->count)) continue;
        stall_ms += r->stall_ms;
        if (r->has_answer && !answer) answer = 1 + (long)(unsigned)r->answer;
    }
    if (fake.log) {
        char path[4200], line[128];
        snprintf(path, sizeof path, "%s/log", folder);
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
        int n = snprintf(line, sizeof line, "%s %d\n", call, d);
        if (fd >= 0 && write(fd, line, (size_t)n) != n) abort();
        if (fd >= 0) close(fd);
    }
    pthread_mutex_unlock(&lock);
    struct timespec t = {stall_ms / 1000, stall_ms % 1000 * 1000000};
    if (stall_ms) nanosleep(&t, NULL);
    return answer;
}

/* A drawn answer: any bytes in what the caller lent, any status. */
static unsigned drawn(void *out, size_t size)
{
    static const unsigned codes[] = {1, 2, 3, 4, 6, 7, 9, 10, 13, 15, 16, 18, 25, 28, 999, 12345, ~0u};
    uint64_t how = draw();
    unsigned char *bytes = out;
    for (size_t i = 0; out && i < size; i++)
        bytes[i] = how % 8 == 0 ? 0xff : how % 8 == 1 ? 0 : how % 8 < 5 ? (i % 8 ? 0 : (unsigned char)draw()) : (unsigned char)draw();
    if (how % 8 == 7) return (unsigned)draw();
    return how >> 8 & 1 || how >> 9 & 1 ? 0 : codes[(how >> 16) % (sizeof codes / sizeof *codes)];
}
#endif

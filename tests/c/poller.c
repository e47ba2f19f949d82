/* A poller whose thread publishes while two others read, each into a snapshot of its own; a child of the
 * process, in which there is no such thread; a signal, which that thread does not take; a clean stop. Run
 * under Helgrind and DRD, with what they cannot see left out (atomics.supp). */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <rampmeter.h>

#define CHECK(condition)                                                     \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                         \
        }                                                                    \
    } while (0)
#define OK(call) CHECK((call) == RAMPMETER_STATUS_OK)
#define SECOND UINT64_C(1000000000)

static rampmeter_poller *poller;

static void *look(void *argument) {
    (void)argument;
    rampmeter_snapshot *seen = NULL;
    rampmeter_error error;
    uint64_t last = 0;
    OK(rampmeter_snapshot_create(&seen, &error));
    /* Until some snapshots came and went: each is whole, and none is older than the one before. */
    while (last < 8) {
        rampmeter_stats_snapshot stats;
        rampmeter_gpu_memory memory;
        memset(&stats, 0, sizeof stats), stats.size = sizeof stats;
        memset(&memory, 0, sizeof memory), memory.size = sizeof memory;
        OK(rampmeter_poller_latest(poller, seen, &error));
        OK(rampmeter_snapshot_stats(seen, rampmeter_clock_ns(), &stats, &error));
        CHECK(stats.seq >= last && stats.gpus_len == 1);
        last = stats.seq;
        OK(rampmeter_snapshot_memory(seen, rampmeter_clock_ns(), 0, &memory, &error));
        CHECK(memory.memory.state == RAMPMETER_READING_OK && memory.free_bytes == 1);
        struct timespec rest = {0, 3000000};
        nanosleep(&rest, NULL);
    }
    rampmeter_snapshot_destroy(seen);
    return NULL;
}

/* A forked child: told so, with the last snapshot, and a poller of its own if it wants one. */
static void be_a_child(const char *path) {
    rampmeter_stats_poller stats;
    rampmeter_cadence cadence;
    rampmeter_poller *own = NULL;
    uint8_t is_read = 0, stopped = 9;
    memset(&stats, 0, sizeof stats), stats.size = sizeof stats;
    memset(&cadence, 0, sizeof cadence), cadence.size = sizeof cadence;
    OK(rampmeter_poller_stats(poller, rampmeter_clock_ns(), &stats, NULL));
    CHECK(stats.state == RAMPMETER_POLLER_FORKED);
    OK(rampmeter_poller_start(RAMPMETER_BACKEND_FIXTURE, path, &cadence, &own, NULL));
    OK(rampmeter_poller_wait_first(own, 60 * SECOND, &is_read, NULL));
    CHECK(is_read);
    rampmeter_poller_destroy(own);
    OK(rampmeter_poller_stop(poller, SECOND, &stopped, NULL));
    CHECK(stopped == RAMPMETER_STOPPED_FORKED);
    rampmeter_poller_destroy(poller);
    _exit(0);
}

/* Signals of the process go to a thread of the host: to this one, the only one that does not block them. */
static volatile sig_atomic_t taken_elsewhere;
static pthread_t main_thread;
static void on_signal(int number) {
    (void)number;
    if (!pthread_equal(pthread_self(), main_thread)) taken_elsewhere = 1;
}

int main(void) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/rampmeter-poller-%" PRIu64 ".json", rampmeter_clock_ns());
    FILE *file = fopen(path, "w");
    CHECK(file);
    fputs("{\"source\": \"nvml\", \"status\": {\"condition\": \"ready\"}, \"devices\": [{\"uuid\": \"GPU-0\","
          " \"index\": 0, \"name\": \"A\","
          " \"memory\": {\"status\": \"ok\", \"total_bytes\": 2, \"free_bytes\": 1}}]}\n", file);
    CHECK(fclose(file) == 0);
    main_thread = pthread_self();
    CHECK(signal(SIGUSR1, on_signal) != SIG_ERR);

    rampmeter_cadence cadence;
    memset(&cadence, 0, sizeof cadence), cadence.size = sizeof cadence;
    cadence.memory_ns = SECOND / 10;
    uint8_t is_read = 0, stopped = 9;
    OK(rampmeter_poller_start(RAMPMETER_BACKEND_FIXTURE, path, &cadence, &poller, NULL));
    OK(rampmeter_poller_wait_first(poller, 60 * SECOND, &is_read, NULL));
    CHECK(is_read);
    pid_t child = fork();
    if (child == 0) be_a_child(path);
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, look, NULL) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);

    /* With its own signals blocked for a moment, only the poller's thread could take one. */
    sigset_t all, before;
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_BLOCK, &all, &before) == 0);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    struct timespec rest = {0, 50000000};
    nanosleep(&rest, NULL);
    CHECK(!taken_elsewhere);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    CHECK(!taken_elsewhere);

    OK(rampmeter_poller_stop(poller, 60 * SECOND, &stopped, NULL));
    CHECK(stopped == RAMPMETER_STOPPED_CLEAN);
    rampmeter_poller_destroy(poller);
    return remove(path);
}

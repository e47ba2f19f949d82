/* The GPUs of a machine: asked once, and by a thread that asks all the time; then the answers, as a
 * placer and a batcher want them.
 *
 * The machine is one of a file, so that this runs where there is no GPU; RAMPMETER_BACKEND_NVML in its
 * place is the one that you sit at. Exit status 0 means that everything was as it should be.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rampmeter.h>

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, error.text); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)
#define OK(call) CHECK((call) == RAMPMETER_STATUS_OK)
#define SIZED(type, name) type name; memset(&name, 0, sizeof name); name.size = sizeof name
#define SECOND UINT64_C(1000000000)

static rampmeter_error error; /* filled by a call that fails, and read by CHECK */

/* Two GPUs: half of the first is taken, the second one is lost. */
static void write_machine(const char *path) {
    FILE *file = fopen(path, "w");
    CHECK(file);
    fputs("{\"source\": \"nvml\", \"status\": {\"condition\": \"ready\"}, \"driver\": {\"version\": \"580.95\"},"
          " \"devices\": ["
          "{\"uuid\": \"GPU-0a\", \"index\": 0, \"name\": \"A\", \"numa\": {\"status\": \"ok\", \"node\": 1},"
          " \"memory\": {\"status\": \"ok\", \"total_bytes\": 85899345920, \"free_bytes\": 42949672960},"
          " \"pci\": {\"status\": \"ok\", \"address\": \"00000000:1b:00.0\"}},"
          "{\"uuid\": \"GPU-0b\", \"index\": 1, \"name\": \"A\", \"health\": \"lost\","
          " \"memory\": {\"status\": \"failed\", \"call\": \"nvmlDeviceGetMemoryInfo_v2\", \"code\": 15},"
          " \"pci\": {\"status\": \"ok\", \"address\": \"00000000:1a:00.0\"}}]}\n",
          file);
    CHECK(fclose(file) == 0);
}

/* What an operator wants to read. */
static void print(const rampmeter_snapshot *seen, uint64_t now_ns) {
    SIZED(rampmeter_stats_snapshot, stats);
    OK(rampmeter_snapshot_stats(seen, now_ns, &stats, &error));
    printf("%s; driver %s, %" PRIu32 " GPUs\n", rampmeter_condition_reason(stats.condition),
           stats.driver_version, stats.gpus_len);
    for (uint32_t place = 0; place < stats.gpus_len; place++) {
        SIZED(rampmeter_gpu, gpu);
        SIZED(rampmeter_gpu_memory, memory);
        OK(rampmeter_snapshot_gpu(seen, now_ns, place, &gpu, &error));
        OK(rampmeter_snapshot_memory(seen, now_ns, place, &memory, &error));
        /* Look at the state before the value: what could not be read is no zero. */
        if (memory.memory.state == RAMPMETER_READING_OK)
            printf("%s %s: %" PRIu64 " bytes free\n", gpu.uuid, gpu.name, memory.free_bytes);
        else if (memory.memory.state == RAMPMETER_READING_FAILED)
            printf("%s %s: %s answered %" PRIu32 "\n", gpu.uuid, gpu.name,
                   rampmeter_call_name(memory.memory.call), memory.memory.code);
    }
}

/* As a node of a placer: the lost GPU is taken out. */
static void place(const rampmeter_snapshot *seen, uint64_t now_ns) {
    rampmeter_policy *policy = NULL;
    rampmeter_placer *placer = NULL;
    rampmeter_node_bridge *bridge = NULL;
    SIZED(rampmeter_placer_options, options);
    SIZED(rampmeter_node_rules, rules);
    SIZED(rampmeter_node, node);
    rampmeter_gpu_use uses[2] = {{1, 0, 0, 0}, {1, 0, 0, 0}};
    rampmeter_device devices[RAMPMETER_NODE_DEVICES_MAX];
    options.nodes_max = options.tasks_max = 4;
    OK(rampmeter_policy_preset("balanced", &policy, &error));
    OK(rampmeter_placer_create(policy, &options, &placer, &error));
    rampmeter_policy_destroy(policy);
    OK(rampmeter_node_bridge_create(seen, uses, 2, &rules, &bridge, &error));
    node.devices = devices;
    node.cpu_milli = 64000, node.memory_mib = 262144;
    OK(rampmeter_node_bridge_devices(bridge, devices, RAMPMETER_NODE_DEVICES_MAX, &node.devices_len, &error));
    CHECK(node.devices_len == 2 && devices[0].memory_mib == 81920 && devices[0].numa == 1);
    uint64_t added = 0;
    OK(rampmeter_placer_add_node(placer, &node, &added, &error));
    OK(rampmeter_node_bridge_attach(bridge, added, &error));

    /* After every snapshot, or each second. The calls are the host's, since tasks go with a device. */
    rampmeter_device_change changes[RAMPMETER_NODE_DEVICES_MAX];
    uint32_t changes_len = 0, tasks_len = 0;
    uint64_t tasks[4];
    OK(rampmeter_node_bridge_changes(bridge, now_ns, seen, placer, changes, RAMPMETER_NODE_DEVICES_MAX,
                                     &changes_len, &error));
    for (uint32_t i = 0; i < changes_len; i++) {
        if (changes[i].action == RAMPMETER_ACTION_FAIL)
            OK(rampmeter_placer_fail_device(placer, changes[i].node, changes[i].device, tasks, 4,
                                            &tasks_len, &error));
        if (changes[i].action == RAMPMETER_ACTION_DRAIN)
            OK(rampmeter_placer_drain_device(placer, changes[i].node, changes[i].device, tasks, 4,
                                             &tasks_len, &error));
    }
    /* GPU-0a: somebody else has 40 GiB of it. GPU-0b is lost. */
    CHECK(changes_len == 2 && changes[0].cause == RAMPMETER_CAUSE_MEMORY_TAKEN &&
          changes[0].missing_mib == 40960 && changes[1].cause == RAMPMETER_CAUSE_LOST);
    OK(rampmeter_node_bridge_changes(bridge, now_ns, seen, placer, changes, RAMPMETER_NODE_DEVICES_MAX,
                                     &changes_len, &error));
    CHECK(changes_len == 0);
    rampmeter_node_bridge_destroy(bridge);
    rampmeter_placer_destroy(placer);
}

int main(void) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/rampmeter-probe-%" PRIu64 ".json", rampmeter_clock_ns());
    write_machine(path);
    rampmeter_snapshot *seen = NULL;
    OK(rampmeter_snapshot_create(&seen, &error));

    /* Asked once: whoever asks waits for the driver. */
    rampmeter_probe *probe = NULL;
    OK(rampmeter_probe_create(RAMPMETER_BACKEND_FIXTURE, path, &probe, &error));
    OK(rampmeter_probe_read(probe, 0, seen, &error));
    print(seen, rampmeter_clock_ns());
    rampmeter_probe_destroy(probe);

    /* Asked by a thread: whoever looks does not wait. This starts it. */
    rampmeter_poller *poller = NULL;
    uint8_t is_read = 0, stopped = 0;
    SIZED(rampmeter_cadence, cadence);
    OK(rampmeter_poller_start(RAMPMETER_BACKEND_FIXTURE, path, &cadence, &poller, &error));
    OK(rampmeter_poller_wait_first(poller, 20 * SECOND, &is_read, &error));
    OK(rampmeter_poller_latest(poller, seen, &error));
    uint64_t now_ns = rampmeter_clock_ns();
    SIZED(rampmeter_stats_snapshot, stats);
    OK(rampmeter_snapshot_stats(seen, now_ns, &stats, &error));
    CHECK(is_read && stats.is_success && stats.age_ns < 3 * SECOND);
    place(seen, now_ns);

    /* A KV cache for Llama-3.1-8B in what is free, less 1 GiB. */
    SIZED(rampmeter_kv_budget, budget);
    SIZED(rampmeter_kv_room, room);
    uint32_t first = 0;
    OK(rampmeter_snapshot_find(seen, "gpu-0A", &first, &error));
    budget.bytes_per_token = rampmeter_kv_bytes_per_token(32, 8, 128, 2, 1);
    budget.keep_free_bytes = UINT64_C(1) << 30;
    OK(rampmeter_snapshot_kv_room(seen, now_ns, &budget, &first, 1, &room, &error));
    CHECK(room.is_known && room.kv_blocks == 39 * 512);

    /* CUDA's numbers, by address: the second GPU is CUDA's first one. */
    uint32_t places[RAMPMETER_GPUS_MAX];
    SIZED(rampmeter_visible, visible);
    OK(rampmeter_snapshot_visible(seen, "PCI_BUS_ID", NULL, places, RAMPMETER_GPUS_MAX, &visible, &error));
    CHECK(visible.clarity == RAMPMETER_VISIBLE_CLEAR && visible.places_len == 2 && places[0] == 1);

    OK(rampmeter_poller_stop(poller, SECOND, &stopped, &error));
    CHECK(stopped == RAMPMETER_STOPPED_CLEAN);
    rampmeter_poller_destroy(poller);
    rampmeter_snapshot_destroy(seen);
    return remove(path);
}

/* A placer over three nodes: parts of devices, a gang, a task that does not fit, and why; then the
 * gang ends, and it fits.
 *
 * A scheduler of your own calls these functions where a task comes, where one ends, and where a node
 * is lost. Tasks that may wait are submitted, and rampmeter_placer_cycle() starts them. */
#include <stdio.h>
#include <string.h>

#include "rampmeter.h"

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            fprintf(stderr, "%s:%d: %s\n  %s\n", __FILE__, __LINE__, #condition,  \
                    error.status != 0 ? error.text : "");                         \
            return 1;                                                             \
        }                                                                         \
    } while (0)

#define OK RAMPMETER_STATUS_OK

/* Nanoseconds in a second: time is whatever the host's monotonic clock says. */
static const uint64_t SECOND = 1000000000;

/* A task of whole devices, of which 0 fields mean the default: one member, of nobody. */
static rampmeter_task whole(uint8_t devices)
{
    rampmeter_task task;
    memset(&task, 0, sizeof task);
    task.size = sizeof task;
    task.member.cpu_milli = 4000;
    task.member.device_kind = RAMPMETER_DEVICES_WHOLE;
    task.member.device_count = devices;
    return task;
}

int main(void)
{
    rampmeter_policy *policy = NULL;
    rampmeter_placer *placer = NULL;
    rampmeter_error error;
    memset(&error, 0, sizeof error);
    CHECK(rampmeter_abi() == RAMPMETER_ABI);
    CHECK(rampmeter_policy_preset("balanced", &policy, &error) == OK);

    /* The only call that allocates: all that the placer will ever use. */
    rampmeter_placer_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.nodes_max = 16;
    options.tasks_max = 64;
    options.members_max = 64;
    CHECK(rampmeter_placer_create(policy, &options, &placer, &error) == OK);
    rampmeter_policy_destroy(policy);

    /* Three nodes of four devices with 80 GB; the second and the third stand in one rack. */
    rampmeter_device devices[4];
    uint64_t nodes[3];
    memset(devices, 0, sizeof devices);
    for (int at = 0; at < 4; at++) {
        devices[at].memory_mib = 81920;
    }
    for (uint32_t at = 0; at < 3; at++) {
        rampmeter_node node;
        memset(&node, 0, sizeof node);
        node.size = sizeof node;
        node.devices = devices;
        node.devices_len = 4;
        node.cpu_milli = 64000;
        node.memory_mib = 524288;
        node.rack = at == 0 ? 0 : 1;
        CHECK(rampmeter_placer_add_node(placer, &node, &nodes[at], &error) == OK);
    }

    /* What is expected to come, so that room is kept for it. Without it, it is learned. */
    rampmeter_task half = whole(0), large = whole(4);
    half.member.device_kind = RAMPMETER_DEVICES_SHARE;
    half.member.device_milli = 500;
    half.member.device_memory_mib = 40000;
    rampmeter_mix_entry mix[2];
    memset(mix, 0, sizeof mix);
    mix[0].member = half.member;
    mix[0].weight = 1;
    mix[1].member = large.member;
    mix[1].weight = 3;
    CHECK(rampmeter_placer_set_mix(placer, mix, 2, &error) == OK);

    /* Two tasks of half a device each: they go onto the same one, and the rest stays whole. */
    rampmeter_hold holds[4];
    rampmeter_placed placed;
    memset(holds, 0, sizeof holds);
    placed.size = sizeof placed;
    CHECK(rampmeter_placer_place(placer, 1 * SECOND, &half, &holds[0], 1, &placed, &error) == OK);
    CHECK(placed.task != 0 && placed.members_len == 1 && holds[0].device_milli == 500);
    CHECK(rampmeter_placer_place(placer, 1 * SECOND, &half, &holds[1], 1, &placed, &error) == OK);
    CHECK(placed.task != 0 && holds[1].node == holds[0].node);
    CHECK(holds[1].devices == holds[0].devices);

    /* A gang of two nodes with all their devices, in one rack: it starts whole or not at all.
     * Not to have room is an answer (`task` is 0), not an error. */
    rampmeter_task gang = whole(4);
    gang.members = 2;
    gang.within = RAMPMETER_DOMAIN_RACK;
    gang.within_required = 1;
    CHECK(rampmeter_placer_place(placer, 2 * SECOND, &gang, holds, 4, &placed, &error) == OK);
    uint64_t running = placed.task;
    CHECK(running != 0 && placed.members_len == 2);
    CHECK(holds[0].devices == 0xF && holds[1].devices == 0xF);
    CHECK(holds[0].node == nodes[1] || holds[0].node == nodes[2]);

    /* What is left is a node with three devices free: four do not fit, and it can say why. */
    CHECK(rampmeter_placer_place(placer, 3 * SECOND, &large, holds, 4, &placed, &error) == OK);
    CHECK(placed.task == 0 && placed.lack == RAMPMETER_LACK_DEVICES);
    rampmeter_why why;
    why.size = sizeof why;
    CHECK(rampmeter_placer_why(placer, 3 * SECOND, &large, &why, &error) == OK);
    CHECK(!why.starts && why.nodes == 3 && why.nodes_lacking[RAMPMETER_LACK_DEVICES] == 3);
    printf("four devices: %u nodes of %u have too few, the nearest has %u of %u\n",
           why.nodes_lacking[RAMPMETER_LACK_DEVICES], why.nodes, (unsigned)why.nearest_has,
           (unsigned)why.nearest_needs);
    CHECK(why.nearest == nodes[0] && why.nearest_has == 3 && why.nearest_needs == 4);

    /* A task that cannot be is an error that names field, value and range; nothing has changed. */
    rampmeter_task wrong = half;
    wrong.member.device_milli = 1001;
    CHECK(rampmeter_placer_place(placer, 3 * SECOND, &wrong, holds, 4, &placed, &error)
          == RAMPMETER_STATUS_E_RANGE);
    printf("%s\n", error.text);

    /* Would it help if the gang ended? What if answers on a copy that nobody sees. */
    rampmeter_if ends;
    const rampmeter_task *asked[1];
    rampmeter_what_if answer;
    uint32_t members_fit = 0;
    memset(&ends, 0, sizeof ends);
    ends.kind = RAMPMETER_IF_RELEASE;
    ends.handle = running;
    asked[0] = &large;
    answer.size = sizeof answer;
    CHECK(rampmeter_placer_what_if(placer, 4 * SECOND, &ends, 1, asked, 1, &answer, &members_fit,
                                   &error) == OK);
    CHECK(members_fit == 1 && answer.free.devices == 11);

    /* It ends: what it held is free, and the task fits. */
    CHECK(rampmeter_placer_release(placer, 5 * SECOND, running, &error) == OK);
    CHECK(rampmeter_placer_place(placer, 5 * SECOND, &large, holds, 4, &placed, &error) == OK);
    CHECK(placed.task != 0 && holds[0].devices == 0xF && holds[0].node != nodes[0]);
    CHECK(rampmeter_placer_release(placer, 6 * SECOND, running, &error)
          == RAMPMETER_STATUS_E_STALE);

    rampmeter_stats_placer stats;
    stats.size = sizeof stats;
    CHECK(rampmeter_placer_stats(placer, &stats, &error) == OK);
    CHECK(stats.tasks == 3 && stats.devices == 12 && stats.devices_free == 7);
    printf("%u tasks run, %u of %u devices are free\n", stats.tasks, stats.devices_free,
           stats.devices);
    rampmeter_placer_destroy(placer);
    return 0;
}

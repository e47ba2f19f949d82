/* Planning: how much more can four servers take, how many are needed, and should a batch job wait so
 * that urgent work finds room?
 *
 * A host says what comes, starts and ends, and asks now and then, not for every request: that is what
 * a gate is for. Exit status 0 means that everything was as it should be.
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
#define MS UINT64_C(1000000)

int main(void) {
    static rampmeter_error error; /* filled by a call that fails, and read by CHECK */

    /* Four servers of one request at a time; nobody shall wait for longer than half a second, but for
     * one in twenty, which is the default. */
    rampmeter_headroom_class class_of_all;
    rampmeter_headroom_options options;
    memset(&class_of_all, 0, sizeof class_of_all);
    class_of_all.target_ns = 500 * MS;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.classes = &class_of_all;
    options.classes_len = 1;
    options.replicas = 4;
    rampmeter_headroom *headroom = NULL;
    CHECK(rampmeter_abi() == RAMPMETER_ABI);
    OK(rampmeter_headroom_create(&options, &headroom, &error));

    /* Nothing was seen yet, and it says so instead of guessing. */
    rampmeter_estimate knee;
    memset(&knee, 0, sizeof knee);
    knee.size = sizeof knee;
    OK(rampmeter_headroom_knee(headroom, 0, &knee, &error));
    CHECK(knee.known == 0 && knee.samples == 0 && knee.samples_needed > 0);

    /* A request every 40 ms that takes 100 ms of one of four servers: 25 a second, where 40 are all
     * that they can do. */
    uint64_t now_ns = 1000 * MS;
    for (int i = 0; i < 1000; i++, now_ns += 40 * MS) {
        OK(rampmeter_headroom_arrived(headroom, now_ns, 0, &error));
        OK(rampmeter_headroom_started(headroom, now_ns, 0, 0, &error));
        OK(rampmeter_headroom_ended(headroom, now_ns, 0, 100 * MS, &error));
    }
    OK(rampmeter_headroom_knee(headroom, 0, &knee, &error));
    CHECK(knee.known == 1 && knee.low <= knee.value && knee.value <= knee.high);
    CHECK(knee.value > 25.0 && knee.value <= 40.0);
    rampmeter_estimate replicas = knee, ratio = knee;
    OK(rampmeter_headroom_ratio(headroom, 0, &ratio, &error));
    OK(rampmeter_headroom_replicas_needed(headroom, &replicas, &error));
    CHECK(ratio.known == 1 && ratio.value > 0.0 && replicas.value >= 3.0);
    rampmeter_can_remove remove_one;
    memset(&remove_one, 0, sizeof remove_one);
    remove_one.size = sizeof remove_one;
    OK(rampmeter_headroom_can_remove(headroom, &remove_one, &error));
    CHECK(remove_one.answer != RAMPMETER_REMOVE_NOT_ENOUGH_DATA);
    double price = -1.0;
    OK(rampmeter_headroom_shadow_price(headroom, now_ns, &price, &error));
    CHECK(price == 0.0); /* nobody waits */
    printf("25 requests a second; safe are %.1f (%.1f to %.1f), which leaves %.0f%%; %.0f replicas "
           "are needed\n",
           knee.value, knee.low, knee.high, 100.0 * ratio.value, replicas.value);
    rampmeter_headroom_destroy(headroom);

    /* Urgent requests of one GPU on eight: one every five seconds, each for twenty. A batch job would
     * take the last free GPUs. */
    rampmeter_policy *policy = NULL;
    rampmeter_reserve *reserve = NULL;
    OK(rampmeter_policy_preset("balanced", &policy, &error));
    OK(rampmeter_reserve_create(0, policy, 0, 8.0, &reserve, &error));
    rampmeter_policy_destroy(policy);
    now_ns = 0;
    for (int i = 0; i < 400; i++) {
        now_ns += 5000 * MS;
        OK(rampmeter_reserve_arrived(reserve, now_ns, 1.0, &error));
        OK(rampmeter_reserve_started(reserve, now_ns, &error));
        if (i >= 4)
            OK(rampmeter_reserve_ended(reserve, now_ns, 20000 * MS, &error));
    }
    rampmeter_batch_job job;
    rampmeter_hold_verdict verdict;
    memset(&job, 0, sizeof job);
    job.size = sizeof job;
    job.waiting = 1;
    job.delay_value = 0.05;
    job.gpus_free = 4.0;
    memset(&verdict, 0, sizeof verdict);
    verdict.size = sizeof verdict;
    for (job.gpus = 1.0; job.gpus <= 4.0; job.gpus += 3.0) {
        OK(rampmeter_reserve_hold(reserve, now_ns, &job, &verdict, &error));
        printf("%.0f of 4 free GPUs: it %s (to start costs %.3f a second, to wait %.3f)\n", job.gpus,
               verdict.hold ? "waits" : "starts", verdict.urgent_price, verdict.batch_price);
        CHECK(verdict.reason == RAMPMETER_HOLD_PRICE);
        CHECK(verdict.hold == (verdict.urgent_price > verdict.batch_price));
    }
    rampmeter_reserve_destroy(reserve);
    return 0;
}

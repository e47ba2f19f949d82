/*
 * Dynamic batching: an image model that answers up to eight requests in one go.
 *
 * The host submits requests as they come, asks what to do, runs what it is told to launch, and says
 * when the batch has ended. Here the clock and the model are made up, and the program plays both:
 * 200 requests, each due 50 ms after it came. The exit status is the verdict.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "rampmeter.h"

#define MS_NS 1000000ull
#define BATCH_MAX 8
#define REQUESTS 200

static rampmeter_error error;

/* Says where something went wrong, and what the library says about it. */
#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: %s\n%s\n", __FILE__, __LINE__, #condition, error.text);    \
            return 1;                                                                          \
        }                                                                                      \
    } while (0)
#define OK(call) CHECK((call) == RAMPMETER_STATUS_OK)

int main(void) {
    rampmeter_curve curve;
    rampmeter_dynamic_class images;
    rampmeter_dynamic_options options;
    rampmeter_dynamic *batcher = NULL;
    rampmeter_dynamic_entry entries[BATCH_MAX];
    rampmeter_expiry expired[4];
    rampmeter_dynamic_plan plan;
    rampmeter_stats_curve learned;
    uint64_t account = 0, now = 0, next = 0, ends = 0, batch = 0, bytes = 0;
    uint32_t sent = 0, finished = 0, in_time = 0;

    CHECK(rampmeter_abi() == RAMPMETER_ABI);

    /* A guess to begin with: 5 ms, and 1 ms for each request. It learns what is true. */
    memset(&curve, 0, sizeof curve);
    curve.fixed_s = 5e-3;
    curve.each_s = 1e-3;
    memset(&images, 0, sizeof images);
    images.latency_target_ns = 50 * MS_NS;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.batch_size_max = BATCH_MAX;
    options.buckets = &curve; /* one shape of request */
    options.buckets_len = 1;
    options.classes = &images;
    options.classes_len = 1;
    OK(rampmeter_dynamic_bytes_needed(&options, &bytes, &error));
    OK(rampmeter_dynamic_create(&options, &batcher, &error));
    OK(rampmeter_dynamic_open_account(batcher, 0, 1.0, &account, &error));

    memset(entries, 0, sizeof entries);
    memset(expired, 0, sizeof expired);
    memset(&plan, 0, sizeof plan);
    plan.size = sizeof plan;
    plan.entries = entries;
    plan.entries_capacity = BATCH_MAX;
    plan.expired = expired;
    plan.expired_capacity = 4;

    while (finished < REQUESTS) {
        rampmeter_dynamic_formed formed;

        /* A request every 2 ms. */
        while (sent < REQUESTS && sent * 2 * MS_NS <= now) {
            rampmeter_dynamic_submission request;
            rampmeter_admission admission;
            memset(&request, 0, sizeof request);
            request.size = sizeof request;
            request.tag = sent;
            request.account = account;
            request.arrival_ns = sent * 2 * MS_NS;
            OK(rampmeter_dynamic_submit(batcher, now, &request, &admission, &error));
            CHECK(admission.request != 0);
            sent++;
        }

        /* The batch that runs is done. */
        if (batch != 0 && now >= ends) {
            rampmeter_dynamic_observation seen;
            rampmeter_dynamic_observed observed;
            memset(&seen, 0, sizeof seen);
            seen.size = sizeof seen;
            seen.batch = batch;
            observed.size = sizeof observed;
            OK(rampmeter_dynamic_observe(batcher, now, &seen, &observed, &error));
            finished += observed.finished;
            in_time += observed.in_time;
            batch = 0;
        }

        /* What now? */
        formed.size = sizeof formed;
        OK(rampmeter_dynamic_form(batcher, now, &plan, &formed, &error));
        if (formed.decision == RAMPMETER_DYNAMIC_LAUNCH) {
            batch = formed.batch;
            ends = now + (6 + formed.entries_len) * MS_NS; /* 1 ms longer than was thought */
        }

        /* Sleep until something happens: here, or in the world. */
        OK(rampmeter_dynamic_next_event(batcher, now, &next, &error));
        if (batch != 0 && (next <= now || next > ends || next == RAMPMETER_NEVER))
            next = ends;
        if (sent < REQUESTS && sent * 2 * MS_NS < next)
            next = sent * 2 * MS_NS;
        now = next > now ? next : now;
    }
    CHECK(in_time >= REQUESTS * 95 / 100);

    learned.size = sizeof learned;
    OK(rampmeter_dynamic_curve(batcher, 0, BATCH_MAX, &learned, &error));
    CHECK(learned.samples > 0 && learned.seconds > 13.5e-3 && learned.seconds < 14.5e-3);
    printf("%u of %d in time; a batch of %d takes %.1f ms, as learned; %" PRIu64 " bytes\n", in_time,
           REQUESTS, BATCH_MAX, learned.seconds * 1e3, bytes);
    rampmeter_dynamic_destroy(batcher);
    return 0;
}

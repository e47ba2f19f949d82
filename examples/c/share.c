/*
 * Who deserves it: a ledger without a batcher, as a router or a cluster scheduler embeds it.
 *
 * Two teams share eight GPUs and one queue. The program asks whose request is next, whose GPUs are
 * whose, whether a job may be ended for somebody with a better right, and who used least of late.
 * The exit status is the verdict.
 */
#include <stdio.h>
#include <string.h>

#include "rampmeter.h"

#define SECOND_NS 1000000000ull

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

/* Amounts of GPUs, the one resource of this ledger. */
static rampmeter_amounts gpus(uint64_t count) {
    rampmeter_amounts amounts;
    memset(&amounts, 0, sizeof amounts);
    amounts.of[0] = count;
    return amounts;
}

/* Tokens: whoever was served least goes first, by weight. */
static int whose_request(rampmeter_ledger *ledger, uint64_t red, uint64_t blue) {
    const uint32_t lane = 0;
    rampmeter_eligible next[2];
    size_t len = 0;

    OK(rampmeter_ledger_arrive(ledger, lane, red, &error));
    OK(rampmeter_ledger_arrive(ledger, lane, blue, &error));
    OK(rampmeter_ledger_charge(ledger, lane, red, 900.0, &error));
    OK(rampmeter_ledger_charge(ledger, lane, blue, 1000.0, &error)); /* of weight 2: 500 */
    OK(rampmeter_ledger_eligible(ledger, lane, 0.0, next, 2, &len, &error));
    CHECK(len == 1 && next[0].account == blue && next[0].counter == 500.0);
    return 0;
}

/* GPUs: red borrowed what blue did not use; now blue wants its own back. */
static int whose_gpus(rampmeter_ledger *ledger, uint64_t red, uint64_t blue) {
    const rampmeter_amounts all = gpus(8), held = gpus(7), wanted = gpus(4);
    rampmeter_quota quota;
    rampmeter_division division;
    rampmeter_holding holding;
    rampmeter_reclamation claim;
    rampmeter_running_job job;
    rampmeter_verdict verdict;
    uint64_t victim = 0;
    size_t len = 0;

    OK(rampmeter_ledger_set_capacity(ledger, &all, &error));
    memset(&quota, 0, sizeof quota);
    quota.size = sizeof quota;
    quota.quota = gpus(4); /* half is guaranteed to each; no limit */
    OK(rampmeter_ledger_set_quota(ledger, red, &quota, &error));
    OK(rampmeter_ledger_set_quota(ledger, blue, &quota, &error));
    OK(rampmeter_ledger_allocate(ledger, red, &held, &error));
    OK(rampmeter_ledger_ask(ledger, blue, &wanted, &error));

    memset(&division, 0, sizeof division); /* zeros: by ones, without regard to the past */
    division.size = sizeof division;
    OK(rampmeter_ledger_divide(ledger, &division, &error));
    holding.size = sizeof holding;
    OK(rampmeter_ledger_holding(ledger, red, &holding, &error));
    CHECK(holding.held.of[0] == 7 && holding.fair_share.of[0] == 4);

    /* One is free; three must come from others. */
    memset(&claim, 0, sizeof claim);
    claim.size = sizeof claim;
    claim.reclaimer = blue;
    claim.amounts = wanted;
    claim.missing = gpus(3);
    OK(rampmeter_ledger_victims(ledger, &claim, &victim, 1, &len, &error));
    CHECK(len == 1 && victim == red);

    memset(&job, 0, sizeof job);
    job.size = sizeof job;
    job.account = red;
    job.amounts = gpus(3);
    job.started_ns = 10 * SECOND_NS;
    verdict.size = sizeof verdict;
    OK(rampmeter_ledger_reclaimable(ledger, 60 * SECOND_NS, &claim, &job, &verdict, &error));
    CHECK(verdict.basis == RAMPMETER_BASIS_QUOTA && verdict.below.of[0] == 0);
    return 0;
}

/* History: usage fades with a half-life, and whoever used least of its shares goes first. */
static int who_used_least(rampmeter_ledger *ledger, uint64_t red, uint64_t blue) {
    rampmeter_ranked ranked[2];
    double usage = 0.0;
    size_t len = 0;

    OK(rampmeter_ledger_record_usage(ledger, 0, red, 100.0, &error));
    OK(rampmeter_ledger_record_usage(ledger, 0, blue, 100.0, &error));
    OK(rampmeter_ledger_usage(ledger, 3600 * SECOND_NS, red, &usage, &error));
    CHECK(usage == 50.0);
    OK(rampmeter_ledger_rank_users(ledger, RAMPMETER_RANKING_FAIR_TREE, 0.0, ranked, 2, &len,
                                   &error));
    CHECK(len == 2 && ranked[0].account == blue && ranked[0].rank == 1);
    return 0;
}

int main(void) {
    rampmeter_ledger_options options;
    rampmeter_ledger *ledger = NULL;
    uint64_t red = 0, blue = 0, found = 0;
    int failed;

    CHECK(rampmeter_abi() == RAMPMETER_ABI);
    memset(&options, 0, sizeof options); /* zero: that part is not there */
    options.size = sizeof options;
    options.accounts_max = 16;
    options.lanes = 1;
    options.resources = 1;
    options.names = 1;
    options.half_life_ns = 3600 * SECOND_NS;
    OK(rampmeter_ledger_create(&options, &ledger, &error));
    OK(rampmeter_ledger_open(ledger, 0, 1.0, &red, &error));
    OK(rampmeter_ledger_open(ledger, 0, 2.0, &blue, &error));
    OK(rampmeter_ledger_set_name(ledger, red, "red", &error));
    OK(rampmeter_ledger_at_path(ledger, "red", &found, &error));
    CHECK(found == red);

    failed = whose_request(ledger, red, blue) || whose_gpus(ledger, red, blue) ||
             who_used_least(ledger, red, blue);

    /* A call about a part that is not there says so, and changes nothing. */
    CHECK(rampmeter_ledger_most_deserving(ledger, &found, &error) == RAMPMETER_STATUS_E_RANGE);
    rampmeter_ledger_destroy(ledger);
    return failed;
}

/* A gate before two servers: who starts, who waits, who is turned away, and whose turn it is.
 *
 * A server of your own makes these calls where a request comes in, where one ends, and where a timer
 * fires. Exit status 0 means that everything was as it should be.
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

static const char POLICY[] =
    "[[class]]\n"
    "name = \"chat\"\n"
    "ttft_target_s = 2.0\n"
    "[[account]]\n"
    "name = \"alice\"\n"
    "[[account]]\n"
    "name = \"bob\"\n";

int main(void) {
    static rampmeter_error error; /* filled by a call that fails, and read by CHECK */

    rampmeter_policy *policy = NULL;
    rampmeter_gate *gate = NULL;
    uint64_t alice = 0, bob = 0;
    CHECK(rampmeter_abi() == RAMPMETER_ABI);
    OK(rampmeter_policy_from_toml(POLICY, strlen(POLICY), &policy, &error));
    OK(rampmeter_gate_create(policy, 2, &gate, &error));
    rampmeter_policy_destroy(policy); /* the gate keeps what it needs */
    OK(rampmeter_gate_policy_account(gate, 0, &alice, &error));
    OK(rampmeter_gate_policy_account(gate, 1, &bob, &error));

    /* Requests of 100 ms, one after the other: the gate learns how fast work leaves. Time is
     * whatever monotonic clock the host has. */
    uint64_t now_ns = 1000 * MS;
    rampmeter_gate_admission admission;
    memset(&admission, 0, sizeof admission);
    admission.size = sizeof admission;
    for (int i = 0; i < 20; i++) {
        OK(rampmeter_gate_admit(gate, now_ns, 0, alice, 1, &admission, &error));
        CHECK(admission.answer == RAMPMETER_GATE_ADMIT);
        now_ns += 100 * MS;
        OK(rampmeter_gate_ended(gate, now_ns, admission.ticket, &error));
    }

    /* A crowd. Two start; some wait; who would not start within two seconds is told so at once. To
     * be turned away is an answer, not an error. */
    uint64_t running[2], held = 0;
    for (int i = 0; i < 2; i++) {
        OK(rampmeter_gate_admit(gate, now_ns, 0, alice, 1, &admission, &error));
        CHECK(admission.answer == RAMPMETER_GATE_ADMIT);
        running[i] = admission.ticket;
    }
    int waiting = 0;
    for (;;) {
        OK(rampmeter_gate_admit(gate, now_ns, 0, alice, 1, &admission, &error));
        if (admission.answer != RAMPMETER_GATE_HOLD)
            break;
        CHECK(admission.until_ns == now_ns + 2000 * MS); /* it must have started by then */
        held = admission.ticket;
        waiting++;
    }
    CHECK(admission.answer == RAMPMETER_GATE_SHED);
    CHECK(admission.shed_reason == RAMPMETER_GATE_SHED_LATE && admission.ticket == 0);
    printf("%d wait; the next is told to come back in %" PRIu64 " ms\n", waiting,
           admission.retry_after_ns / MS);

    /* Bob has had nothing yet: he may wait, and one of Alice's gives way and hears it now. */
    OK(rampmeter_gate_admit(gate, now_ns, 0, bob, 1, &admission, &error));
    CHECK(admission.answer == RAMPMETER_GATE_HOLD);
    rampmeter_gate_refusal refusal;
    memset(&refusal, 0, sizeof refusal);
    refusal.size = sizeof refusal;
    OK(rampmeter_gate_given_up(gate, now_ns, &refusal, &error));
    CHECK(refusal.account == alice && refusal.reason == RAMPMETER_GATE_DISPLACED);

    /* A server is free: whose turn is it, and does that still make sense? Bob's: he had less. */
    now_ns += 100 * MS;
    uint64_t next = 0;
    rampmeter_gate_dequeued dequeued;
    memset(&dequeued, 0, sizeof dequeued);
    dequeued.size = sizeof dequeued;
    OK(rampmeter_gate_ended(gate, now_ns, running[0], &error));
    OK(rampmeter_gate_next(gate, now_ns, &next, &error));
    CHECK(next == admission.ticket);
    OK(rampmeter_gate_dequeue(gate, now_ns, next, &dequeued, &error));
    CHECK(dequeued.answer == RAMPMETER_GATE_START && dequeued.waited_ns == 100 * MS);

    /* Somebody goes: what that request was charged is given back. To say it twice does no harm. */
    if (held != refusal.ticket)
        OK(rampmeter_gate_left(gate, now_ns, held, &error));
    CHECK(rampmeter_gate_left(gate, now_ns, held, &error) == RAMPMETER_STATUS_E_STALE);

    rampmeter_gate_destroy(gate);
    return 0;
}

/*
 * rampmeter: GPU scheduling policy as a library.
 *
 * A host keeps its own sockets, threads and queues. It asks rampmeter what runs next, where, and
 * may this come in at all. Every answer is a value; the host acts on it and reports what really
 * happened. This header is the manual; docs/guides/c.md is a walk through it, and examples/c has
 * whole programs.
 *
 * Linking. `pkg-config --cflags --libs rampmeter` (shared) or `rampmeter-static`; with CMake,
 * `find_package(rampmeter)` and the target rampmeter::shared or rampmeter::static. Compare
 * rampmeter_abi() with RAMPMETER_ABI once, before anything else.
 *
 * Status. Every call that can fail returns a rampmeter_status: 0, or an error, which is negative.
 * After an error nothing has changed, neither in the object nor in memory of the caller; only what a
 * placer has already told a ledger (rampmeter_placer_settle(), rampmeter_placer_cycle()) stays
 * told. To turn work away is an answer, not an error.
 *
 * Pointers. Each must be valid for what the call does with it: readable, writable, and not used by
 * others meanwhile where it is written. NULL and wrong alignment are answered with E_POINTER. An
 * `error` may always be NULL. A name is a text closed by a zero; a text is UTF-8.
 *
 * Structures that begin with `size` may grow: fields are appended, never moved or removed. Set all
 * of it to 0, then `size` to its sizeof, then what you know: 0 always means the default. Old and
 * new mix: a field that the other side does not know counts as 0, and what it cannot honour is
 * refused with E_TOO_NEW.
 *
 * Handles of requests, accounts, tasks and so on are 64-bit numbers, never 0. Any number is safe to
 * hand in: one that was never issued, or whose owner has ended, is answered with E_STALE.
 *
 * Time is in nanoseconds on one monotonic clock of the host for each object, and comes in with every
 * call that needs it; it may not go backwards.
 *
 * Memory. Only calls that create something allocate, and they say how much beforehand. Nothing
 * grows later: full is an answer. Where a call of the last section allocates, it says so.
 *
 * Threads. Objects are independent of each other: there are no globals, no thread-locals, no locks,
 * no threads. Calls with a `const` object may run side by side; any other needs that object alone.
 * An object may be created, used and destroyed on different threads. The last section, which asks the
 * machine for its GPUs, is the exception, and says in its first lines what it has of these.
 *
 * An object is not to be called from a callback that one of its calls makes: that is answered with
 * E_REENTRANT, and destroying it there does nothing.
 *
 * The library never prints, aborts, exits, forks, installs handlers or reads the environment. A bug
 * in it (a Rust panic) is caught, costs a line on stderr, and is answered with E_INTERNAL; the object
 * answers nothing else from then on. It must be built with unwinding for that, as it is by default.
 */
#ifndef RAMPMETER_H
#define RAMPMETER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ================================================================================================
 * Status: what every call returns
 *
 * 0 or an error, which is negative. A decision is never an error: to hold, to shed or to have
 * nothing to do are success. After an error nothing has changed, in the object or in what the
 * call writes to; only an object that is to be created is set to NULL.
 */

/** The call did what it says. */
#define RAMPMETER_STATUS_OK 0

/** A whole number is outside its range. */
#define RAMPMETER_STATUS_E_RANGE (-1)

/** A fractional number is outside its range, or is not a number. */
#define RAMPMETER_STATUS_E_RANGE_REAL (-2)

/** A handle (a request, an account, a task...) was never issued, or what it named has ended. */
#define RAMPMETER_STATUS_E_STALE (-3)

/** `now_ns` is earlier than in an earlier call on the same object. */
#define RAMPMETER_STATUS_E_TIME_REVERSED (-4)

/** A fixed capacity is used up. Nothing grows after an object is created. */
#define RAMPMETER_STATUS_E_FULL (-5)

/** An array or buffer of the caller is too short; the text of the error says what it needs. */
#define RAMPMETER_STATUS_E_BUFFER_TOO_SMALL (-6)

/** Two values contradict each other. */
#define RAMPMETER_STATUS_E_CONTRADICTION (-7)

/** Two entries of a list carry the same name. */
#define RAMPMETER_STATUS_E_DUPLICATE (-8)

/** An entry names another that does not stand before it. */
#define RAMPMETER_STATUS_E_UNKNOWN (-9)

/** The bytes are no snapshot of such an object, or cannot be believed. */
#define RAMPMETER_STATUS_E_SNAPSHOT (-10)

/**
 * A policy document (or a fixture of a probe) is wrong; the text of the error names the line, the key
 * and the range.
 */
#define RAMPMETER_STATUS_E_DOCUMENT (-11)

/** A pointer is NULL or not aligned. */
#define RAMPMETER_STATUS_E_POINTER (-64)

/**
 * The `size` of a structure is smaller than that of its first version, or no size at all: it is not
 * set.
 */
#define RAMPMETER_STATUS_E_SIZE (-65)

/** The caller was built with a newer header and sets fields that this library does not know. */
#define RAMPMETER_STATUS_E_TOO_NEW (-66)

/** Nothing has the name that was given. */
#define RAMPMETER_STATUS_E_NAME (-67)

/** A text is not UTF-8. */
#define RAMPMETER_STATUS_E_TEXT (-68)

/** The system has not as much memory as the object needs; the text of the error says how much. */
#define RAMPMETER_STATUS_E_MEMORY (-69)

/** The call comes from within another call of the same object, by way of the host. */
#define RAMPMETER_STATUS_E_REENTRANT (-70)

/**
 * A bug of the library. The object answers nothing but this any more: destroy it, and report it.
 */
#define RAMPMETER_STATUS_E_INTERNAL (-100)

/** The version of the ABI that this header describes; see rampmeter_abi(). */
#define RAMPMETER_ABI 1

/** Version of the library that this header came with, first number. */
#define RAMPMETER_VERSION_MAJOR 0

/** Second number. */
#define RAMPMETER_VERSION_MINOR 1

/** Third number. */
#define RAMPMETER_VERSION_PATCH 0

/** In place of a fraction for which 0 means the default, where the text says so: 0. */
#define RAMPMETER_ZERO (-1.0)

/**
 * What a call returns: `RAMPMETER_STATUS_OK` or one of the errors below, all negative. More may be
 * added; a number is never reused.
 */
typedef int32_t rampmeter_status;

/**
 * The ABI that the library has. Where it is not `RAMPMETER_ABI`, header and library do not belong
 * together: call nothing else.
 *
 * Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
uint32_t rampmeter_abi(void);

/**
 * The version of the library, such as "0.1.0".
 *
 * Ownership: static, never freed. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
const char *rampmeter_version(void);

/**
 * What a status means, in half a sentence; for any number, known or not. The text of an error
 * (::rampmeter_error) says more: the field, the value and the range.
 *
 * Ownership: static, never freed. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
const char *rampmeter_status_text(rampmeter_status status);

/* ================================================================================================
 * Errors: what exactly was wrong
 *
 * Every call that can fail takes a `rampmeter_error *` last. With NULL nothing is written; else it
 * is filled if the call fails, and left alone if it does not. It is the caller's memory: nothing is
 * shared between threads, and nothing has to be freed.
 */

/** Bytes of rampmeter_error::text, the closing zero included. */
#define RAMPMETER_ERROR_TEXT_BYTES 504

/**
 * What was wrong with a call: one sentence that names the field, the value and the range. Need not
 * be set to anything before.
 */
typedef struct rampmeter_error {
    /** What the call returned. */
    rampmeter_status status;
    /** Bytes of `text` without the closing zero. */
    uint32_t text_len;
    /** UTF-8, closed by a zero. What is longer is cut off at a character. */
    char text[RAMPMETER_ERROR_TEXT_BYTES];
} rampmeter_error;

/* ================================================================================================
 * Policy: what the operator wants
 *
 * One document, TOML or JSON, describes classes with their targets, accounts with their shares,
 * and limits; every object below is created from it and takes a changed one while it lives.
 * `rampmeter policy show balanced` prints one with every key, its unit, range and default. A policy
 * is never changed once it is read, so that any number of threads may use it.
 */

/**
 * A policy that was read and found valid. May be shared between threads. Objects that are created
 * from it keep what they need: it may be destroyed before them.
 */
typedef struct rampmeter_policy rampmeter_policy;

/**
 * Reads a policy from `len` bytes of TOML; an empty text is the policy "balanced".
 *
 * Fails: E_DOCUMENT (the error names the line, the key and the range), E_TEXT, E_POINTER.
 * Ownership: `*out` is the caller's, to be given to rampmeter_policy_destroy(); NULL on failure.
 * Allocates: yes, up to 80 times the length. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_policy_from_toml(const char *document,
                                            size_t len,
                                            struct rampmeter_policy **out,
                                            rampmeter_error *error);

/**
 * Reads a policy from `len` bytes of JSON; `{}` is the policy "balanced".
 *
 * Fails, ownership, and so on: as rampmeter_policy_from_toml(). Since: 0.1.
 */
rampmeter_status rampmeter_policy_from_json(const char *document,
                                            size_t len,
                                            struct rampmeter_policy **out,
                                            rampmeter_error *error);

/**
 * A policy that comes with the library: "interactive", "balanced" or "throughput".
 *
 * Fails: E_NAME, E_TEXT, E_POINTER. Ownership: as rampmeter_policy_from_toml(). Allocates: yes.
 * Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_policy_preset(const char *preset,
                                         struct rampmeter_policy **out,
                                         rampmeter_error *error);

/**
 * Ends a policy. NULL is allowed and does nothing.
 *
 * Allocates: no. Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
 */
void rampmeter_policy_destroy(struct rampmeter_policy *policy);

/**
 * Writes the policy as TOML with every key into `out`, closed by a zero, and its length without
 * that zero into `*len`. With `capacity` 0 it only says how long it is.
 *
 * Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: yes. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_policy_to_toml(const struct rampmeter_policy *policy,
                                          char *out,
                                          size_t capacity,
                                          size_t *len,
                                          rampmeter_error *error);

/**
 * The place of a class in the document, from 0: what calls name `class_index`.
 *
 * Fails: E_NAME, E_TEXT, E_POINTER. Allocates: no, but to say which name was wrong. Blocks: no.
 * Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_policy_class_index(const struct rampmeter_policy *policy,
                                              const char *class_name,
                                              uint32_t *class_index,
                                              rampmeter_error *error);

/**
 * The place of an account in the document, from 0; each object has its own handle for it, such as
 * rampmeter_batcher_policy_account() gives.
 *
 * Fails: E_NAME, E_TEXT, E_POINTER. Allocates: no, but to say which name was wrong. Blocks: no.
 * Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_policy_account_index(const struct rampmeter_policy *policy,
                                                const char *account_name,
                                                uint32_t *account_index,
                                                rampmeter_error *error);

/**
 * Numbers of classes and of accounts that the policy names.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_policy_counts(const struct rampmeter_policy *policy,
                                         uint32_t *classes,
                                         uint32_t *accounts,
                                         rampmeter_error *error);

/* ================================================================================================
 * Engine: what a step costs
 *
 * How long one step of a serving engine takes, and how large its KV cache is. Built-in profiles are
 * a start; a batcher corrects the step times by what it observes.
 */

/** Coefficients of the step-time model. */
#define RAMPMETER_STEP_COEFFICIENTS 7

/** An engine: its step times and its KV cache. Set `size` to its sizeof. */
typedef struct rampmeter_engine {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Tokens in a KV block, 1 to 65,536. */
    uint32_t kv_block_tokens;
    /** KV blocks in all, at least 1. */
    uint32_t kv_blocks;
    /** Must be 0. */
    uint32_t reserved;
    /**
     * Seconds of a step: the sum of these times 1; prompt tokens; requests that decode; KV tokens
     * of these; p * (h + p / 2) for p prompt tokens whose requests had h in KV; 1 if there is a
     * prompt; KV tokens that decode beside one.
     */
    double step_coefficients[RAMPMETER_STEP_COEFFICIENTS];
} rampmeter_engine;

/**
 * A built-in engine: "llama-3.1-8b", "qwen3-32b" or "qwen3-32b-tp2"; `rampmeter fit` makes the
 * numbers of others from measurements. Set `engine->size` before.
 *
 * Fails: E_NAME, E_TEXT, E_SIZE, E_POINTER. Allocates: no, but to say which name was wrong.
 * Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_engine_named(const char *engine_name,
                                        struct rampmeter_engine *engine,
                                        rampmeter_error *error);

/* ================================================================================================
 * Exchange: what copies of one desk tell each other
 *
 * Several engines or routers with the same accounts, or several ledgers, tell each other whom they
 * served, so that a tenant does not get a share of its own at every front door. Each writes deltas
 * and merges those of the others; how they travel is the host's business. They may come late, twice,
 * in any order, or get lost: the next one makes up for it. An account is known to all copies by its
 * key, which is made of its name and those above it. `docs/policies/exchange.md` says how it works.
 */

/**
 * What one copy charged to one account in one class: send it to the others as it is. Amounts in
 * prompt tokens as charged, not divided by weight, `began <= told <= served`.
 */
typedef struct rampmeter_delta_entry {
    /** Key of the account, not 0. */
    uint64_t key;
    /** Class, or lane of a ledger. */
    uint64_t lane;
    /** Where the counting began. */
    double began;
    /** What the delta before this one told, or `began`. */
    double told;
    /** Up to where it has come. */
    double served;
} rampmeter_delta_entry;

/** Who tells: goes with the entries. Set `size` before. */
typedef struct rampmeter_delta {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 1: that was everything; 0: the next call goes on from there. */
    uint32_t is_complete;
    /** Entries written. */
    uint64_t len;
    /** Number of the copy that tells. */
    uint64_t replica;
    /** Which of its lives this is. */
    uint64_t incarnation;
} rampmeter_delta;

/** What became of the entries of a delta. Set `size` before. */
typedef struct rampmeter_merged {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Entries that told something new. */
    uint32_t news;
    /** Entries that came twice or late. */
    uint32_t older;
    /**
     * Entries whose key no account here has; once one has it, the same delta can be merged again.
     */
    uint32_t unknown;
} rampmeter_merged;

/**
 * The key of the account at the end of a path of names parted by `/`, such as "org/team/user": the
 * same on every machine, for ever.
 *
 * Fails: E_TEXT, E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_path_key(const char *path, uint64_t *key, rampmeter_error *error);

/* ================================================================================================
 * Batcher: what runs in the next step of a language model
 *
 * The host submits requests as they come, and goes round this loop: rampmeter_batcher_form() writes
 * into the host's arrays which requests get how many tokens; the engine runs them;
 * rampmeter_batcher_observe() hears what came out. Up to `limits.steps_in_flight_max` steps may be
 * formed before the first is observed. `docs/policies/batch.md` says how it decides.
 */

/** The limit that a request met: requests that may wait in its class. */
#define RAMPMETER_SHED_CLASS_REQUESTS 1

/** Prompt tokens that may wait in its class. */
#define RAMPMETER_SHED_CLASS_TOKENS 2

/** Requests that may wait of its account, or of one above. */
#define RAMPMETER_SHED_ACCOUNT_REQUESTS 3

/** Prompt tokens that may wait of its account, or of one above. */
#define RAMPMETER_SHED_ACCOUNT_TOKENS 4

/** Requests per minute of its account, or of one above. */
#define RAMPMETER_SHED_RATE_REQUESTS 5

/** Tokens per minute of its account, or of one above. */
#define RAMPMETER_SHED_RATE_TOKENS 6

/** Where a request is: it waits, and can still meet its time to first token. */
#define RAMPMETER_STAGE_WAITING 0

/** It waits, and can no longer meet it. */
#define RAMPMETER_STAGE_LATE 1

/** It ran, lost its KV, and waits to be computed again. */
#define RAMPMETER_STAGE_PREEMPTED 2

/** It has a seat. */
#define RAMPMETER_STAGE_RUNNING 3

/** A prefill engine is done with it; its KV is kept until rampmeter_batcher_release(). */
#define RAMPMETER_STAGE_HANDED_OVER 4

/** It has ended; only steps in flight still name it. */
#define RAMPMETER_STAGE_ENDED 5

/** What kept a request out when it was last first in line: nothing did. */
#define RAMPMETER_OBSTACLE_NONE 0

/** The KV cache has no room for its prompt. */
#define RAMPMETER_OBSTACLE_MEMORY 1

/** Steps in flight still name it. */
#define RAMPMETER_OBSTACLE_IN_FLIGHT 2

/** No slot for its adapter. */
#define RAMPMETER_OBSTACLE_ADAPTER 3

/** Another request is just computing the prompt that they share. */
#define RAMPMETER_OBSTACLE_SHARED_PROMPT 4

/** What runs would outgrow the KV cache later, as forecast. */
#define RAMPMETER_OBSTACLE_FORECAST 5

/** rampmeter_plan_entry::phase: computes a chunk of its prompt. */
#define RAMPMETER_PHASE_PREFILL 0

/** rampmeter_plan_entry::phase: produces its next token. */
#define RAMPMETER_PHASE_DECODE 1

/** rampmeter_batcher_next_event(): nothing happens until something comes in. */
#define RAMPMETER_NEVER UINT64_MAX

/** Why a request has no seat: nobody is in line. */
#define RAMPMETER_REASON_NOBODY 0

/** It has one. */
#define RAMPMETER_REASON_RUNNING 1

/** A prefill engine is done with it. */
#define RAMPMETER_REASON_HANDED_OVER 2

/** It has ended. */
#define RAMPMETER_REASON_ENDED 3

/** It is first in line, and nothing is known to be against it: the next step lets it in. */
#define RAMPMETER_REASON_NEXT 4

/** It is first in line; all seats are taken. */
#define RAMPMETER_REASON_SEATS 5

/** It is first in line; the step formed last had no tokens or no time left for it. */
#define RAMPMETER_REASON_STEP_BUDGET 6

/** It is first in line; somebody had to give way, so the step formed last let nobody in. */
#define RAMPMETER_REASON_GAVE_WAY 7

/** It is first in line; as many steps are in flight as may be. */
#define RAMPMETER_REASON_STEPS_IN_FLIGHT 8

/** Something of its own keeps it out: see `obstacle`. */
#define RAMPMETER_REASON_OBSTACLE 9

/** It stood aside; its obstacle is gone, and it is back in line with the next step. */
#define RAMPMETER_REASON_COMES_BACK 10

/** It waited for too long: it is given up when a step next comes to it. */
#define RAMPMETER_REASON_EXPIRED 11

/** Another class goes first: an earlier one, or one that is owed service. */
#define RAMPMETER_REASON_CLASS 12

/** Requests of its class that lost their KV in the middle of an answer go first. */
#define RAMPMETER_REASON_INTERRUPTED 13

/** It is the turn of other accounts. */
#define RAMPMETER_REASON_ACCOUNT 14

/** Late requests that their account owes service go first. */
#define RAMPMETER_REASON_LATE_SHARE 15

/** It can no longer meet its target; those that can go first. */
#define RAMPMETER_REASON_LATE 16

/** Others of its class, whose account has its turn, too, are due earlier. */
#define RAMPMETER_REASON_ORDER 17

/**
 * Forms the steps of one engine. One thread at a time may change it; calls with a `const` pointer
 * may run side by side.
 */
typedef struct rampmeter_batcher rampmeter_batcher;

/** A request that comes in. Set all of it to 0, then `size` to its sizeof, then what is known. */
typedef struct rampmeter_submission {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Place of its class in the policy. */
    uint32_t class_index;
    /** The host's own number for it; returned in every plan, never read. */
    uint64_t tag;
    /** Whose request it is. */
    uint64_t account;
    /** When it reached the host; its targets count from here. At most `now_ns`; 0: now. */
    uint64_t arrival_ns;
    /** Length of the prompt, at least 1. */
    uint32_t prompt_tokens;
    /** Leading prompt tokens whose KV is cached already; below `prompt_tokens`. */
    uint32_t cached_tokens;
    /** The most output tokens that it may produce, at least 1. */
    uint32_t output_tokens_max;
    /** The adapter that it needs, 1 to `limits.adapters_max`; 0: none. */
    uint32_t adapter;
    /** When its first token is due; 0: the target of its class after its arrival. */
    uint64_t deadline_ns;
    /** When it is given up if it has no seat by then; 0: what the queue limits say. */
    uint64_t expires_at_ns;
    /**
     * A request with the same prompt, class, account and adapter whose KV it shares (n > 1); 0:
     * none. When one is let in, fork the blocks of its `computed_tokens` from a member with a seat.
     */
    uint64_t shares;
    /** When another engine produced its first token; read only with the next field. */
    uint64_t handed_over_first_token_ns;
    /**
     * Output tokens that another engine produced, whose KV it brings; 0: it comes from nowhere.
     */
    uint32_t handed_over_output_tokens;
    /** Must be 0. */
    uint32_t reserved;
} rampmeter_submission;

/** What becomes of a submission. */
typedef struct rampmeter_admission {
    /**
     * The request, which waits for its turn; 0: it was turned away, and nothing is kept of it.
     */
    uint64_t request;
    /** In how long it may be worth trying again: an estimate, not a promise. 0 if it waits. */
    uint64_t retry_after_ns;
    /** RAMPMETER_SHED_...: the limit that it met; 0 if it waits. */
    uint32_t shed_reason;
    /** 0. */
    uint32_t reserved;
} rampmeter_admission;

/** What changes of a request. Set all of it to 0, then `size`, then what changes. */
typedef struct rampmeter_change {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Place of its new class in the policy plus 1; 0: it keeps its class. */
    uint32_t class_index_plus_1;
    /** When its first token is due now; 0: as it was, or the target of its new class. */
    uint64_t deadline_ns;
    /** When it is given up now; 0: as it was. */
    uint64_t expires_at_ns;
} rampmeter_change;

/** What is known of one request. Set `size` before. */
typedef struct rampmeter_progress {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Output tokens observed. */
    uint32_t output_tokens;
    /** Tokens with KV, steps in flight included. */
    uint32_t computed_tokens;
    /** Times that it lost its KV. */
    uint32_t preemptions;
    /** RAMPMETER_STAGE_... */
    uint8_t stage;
    /** RAMPMETER_OBSTACLE_... */
    uint8_t obstacle;
    /** 0. */
    uint8_t reserved[6];
} rampmeter_progress;

/** One request's part of a step. */
typedef struct rampmeter_plan_entry {
    /** The request. */
    uint64_t request;
    /** The host's own number for it. */
    uint64_t tag;
    /**
     * Tokens that it has in KV before the step. With `admitted` these are not its own: they come
     * from the prefix cache, from a request that it shares with, or with its hand-over.
     */
    uint32_t computed_tokens;
    /** Tokens to compute. */
    uint32_t tokens;
    /** RAMPMETER_PHASE_... */
    uint8_t phase;
    /** 1: the step ends with an output token of this request. */
    uint8_t emits;
    /** 1: it gets its seat with this step. */
    uint8_t admitted;
    /** 1: its KV comes back from where it was swapped to, before the step. */
    uint8_t swapped_in;
    /** Means nothing. */
    uint32_t reserved;
} rampmeter_plan_entry;

/** A request that loses its KV before the step and waits again; free its blocks. */
typedef struct rampmeter_preemption {
    /** The request. */
    uint64_t request;
    /** The host's own number for it. */
    uint64_t tag;
    /** Tokens whose KV is lost, or is swapped out. */
    uint32_t computed_tokens;
    /** 1: its KV is kept; move it to where there is room, instead of dropping it. */
    uint8_t swapped_out;
    /** Mean nothing. */
    uint8_t reserved[3];
    /** Seconds that it takes to have the KV again. */
    double restore_s;
    /**
     * Value-seconds of delay for each block that it frees: the least of all that could give way.
     */
    double price;
} rampmeter_preemption;

/** A request that waited for too long and is given up; it is forgotten. */
typedef struct rampmeter_expiry {
    /** The request. */
    uint64_t request;
    /** The host's own number for it. */
    uint64_t tag;
} rampmeter_expiry;

/**
 * Arrays of the caller for one plan, each of `capacity` elements, at least `limits.running_max`.
 * Set each of them to 0 once before its first use, as calloc() does.
 */
typedef struct rampmeter_plan {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Elements of each array. */
    uint32_t capacity;
    /** What the step computes. */
    struct rampmeter_plan_entry *entries;
    /** Who loses their KV first. */
    struct rampmeter_preemption *preempted;
    /** Who waited for too long. */
    struct rampmeter_expiry *expired;
} rampmeter_plan;

/** What was formed. Set `size` before. */
typedef struct rampmeter_formed {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 1: there is a step to run, and to observe; 0: there is nothing to run. */
    uint32_t runs;
    /** The step. */
    uint64_t step;
    /** Elements written to rampmeter_plan::entries. */
    uint32_t entries_len;
    /** Elements written to rampmeter_plan::preempted, even where nothing runs. */
    uint32_t preempted_len;
    /** Elements written to rampmeter_plan::expired, even where nothing runs. */
    uint32_t expired_len;
    /** Requests that got a seat. */
    uint32_t admitted;
    /** When the step is expected to begin: now, or after the steps in flight. */
    uint64_t starts_at_ns;
    /** When it is expected to end. */
    uint64_t ends_at_ns;
    /** KV tokens that requests with a prompt chunk had before the step. */
    uint64_t prefill_history_tokens;
    /** KV tokens that decoding requests had before the step. */
    uint64_t decode_context_tokens;
    /** Prompt tokens that the step computes. */
    uint32_t prefill_tokens;
    /** Requests that decode in it. */
    uint32_t decode_requests;
} rampmeter_formed;

/**
 * Which tokens of a request are in the host's prefix cache now: the answer is a number of leading
 * tokens, or UINT32_MAX to keep what was said before. `context` is the pointer that was handed in.
 * It must come back by returning. What it calls for the same batcher is refused with E_REENTRANT.
 */
typedef uint32_t (*rampmeter_cached_tokens_fn)(void *context, uint64_t request, uint64_t tag);

/** What one request did in an observed step. */
typedef struct rampmeter_step_result {
    /** The request. */
    uint64_t request;
    /** Output tokens that came out: usually 1, more with speculation, 0 if there was none. */
    uint32_t output_tokens;
    /** 1: it ended with this step (end of text, or its last token); else 0. */
    uint8_t finished;
    /** Not read. */
    uint8_t reserved[3];
} rampmeter_step_result;

/** What really happened in the oldest step in flight. Set all of it to 0, then `size`. */
typedef struct rampmeter_observation {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Elements of `results`. */
    uint32_t results_len;
    /**
     * The step, as rampmeter_formed::step named it. Steps are observed in the order of forming.
     */
    uint64_t step;
    /**
     * One element for each request that produced tokens or ended, in any order. A planned request
     * that is missing produced nothing.
     */
    const struct rampmeter_step_result *results;
    /** How long the engine worked on the step; 0: not known, taken from when the calls came. */
    uint64_t duration_ns;
    /** Free KV blocks as the engine counts them, after all that was formed and all that ended. */
    uint32_t kv_blocks_free;
    /** 1: the field before is set; 0: the batcher goes by its own count. */
    uint8_t kv_blocks_free_known;
    /** Must be 0. */
    uint8_t reserved[3];
} rampmeter_observation;

/** What an observation changed. Set `size` before. */
typedef struct rampmeter_observed {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Requests that ended. */
    uint32_t finished;
    /** Requests that produced their first token. */
    uint32_t first_tokens;
    /** Output tokens in all. */
    uint32_t output_tokens;
} rampmeter_observed;

/** What a batcher holds and how full it is. Set `size` before. */
typedef struct rampmeter_stats_batcher {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Requests that wait, late and preempted ones included. */
    uint32_t waiting;
    /** Of these, requests that can no longer meet their time to first token. */
    uint32_t late;
    /** Requests with a seat. */
    uint32_t running;
    /** Requests known, those that ended in a step still in flight included. */
    uint32_t requests;
    /** Capacity for them. */
    uint32_t requests_max;
    /** Seats. */
    uint32_t running_max;
    /** Accounts open. */
    uint32_t accounts;
    /** Steps formed and not yet observed. */
    uint32_t steps_in_flight;
    /** Free KV blocks. */
    uint32_t kv_blocks_free;
    /** KV blocks in all. */
    uint32_t kv_blocks;
    /** Blocks in the swap space. */
    uint32_t kv_blocks_swapped;
    /** Requests turned away so far. */
    uint64_t shed;
    /** Requests given up so far because they waited for too long. */
    uint64_t expired;
} rampmeter_stats_batcher;

/** How much of a class waits. Set `size` before. */
typedef struct rampmeter_stats_class {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Requests that wait. */
    uint32_t waiting;
    /** Of these, requests that can no longer meet their time to first token. */
    uint32_t late;
    /** 0. */
    uint32_t reserved;
    /** Prompt tokens that wait to be computed. */
    uint64_t waiting_tokens;
    /** Prompt tokens a second that were let in of late; 0: nothing was yet. */
    double drain_tokens_per_s;
} rampmeter_stats_class;

/** How well the step times are known. Set `size` before. */
typedef struct rampmeter_stats_model {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 1: it learns; 0: the policy keeps the step times as they were given, and the rest is 0. */
    uint32_t learns;
    /** Steps learned from. */
    uint64_t samples;
    /** Those whose duration was too far off to be believed whole. */
    uint64_t limited;
    /** Mean of |predicted / observed - 1| over about the last hundred steps of each kind. */
    double error_ratio;
    /** The same over steps with prompts. */
    double error_ratio_prefill;
    /** Time of a typical step by what was learned over that by what was given. */
    double time_scale;
    /** For each coefficient how far it is known from steps: 0 (as given) towards 1. */
    double determined_ratio[RAMPMETER_STEP_COEFFICIENTS];
} rampmeter_stats_model;

/** Why a request is not in the batch, and when it will be. Set `size` before. */
typedef struct rampmeter_explanation {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Requests that go before it as things stand. */
    uint32_t ahead_requests;
    /** Prompt tokens that those ahead have to compute. */
    uint64_t ahead_tokens;
    /** When it should get its seat; RAMPMETER_NEVER: not known, or it does not wait. */
    uint64_t predicted_start_ns;
    /** Who is first in line; 0: nobody. */
    uint64_t head;
    /**
     * Weighted service of its account in its class, at the level at which it is furthest ahead.
     */
    double account_counter;
    /** The smallest counter there. */
    double account_counter_min;
    /** How far beyond that it may be and still have its turn. */
    double credit;
    /** Class of the head. */
    uint32_t head_class_index;
    /** RAMPMETER_REASON_...: why it has no seat. */
    uint8_t reason;
    /** RAMPMETER_OBSTACLE_..., where that is the reason. */
    uint8_t obstacle;
    /** RAMPMETER_STAGE_...: where it is. */
    uint8_t stage;
    /** RAMPMETER_REASON_...: what keeps the head out. */
    uint8_t head_reason;
    /** RAMPMETER_OBSTACLE_..., where that is the head's reason. */
    uint8_t head_obstacle;
    /** 1: its class is owed service; the first of that class goes before all classes. */
    uint8_t class_is_owed;
    /** 1: its account owes service to its late requests in this class. */
    uint8_t late_is_owed;
    /** 0. */
    uint8_t reserved[5];
} rampmeter_explanation;

/**
 * How much of an account may wait, its parts included; what comes on top is shed. 0 is no limit.
 * Set `size` before.
 */
typedef struct rampmeter_queue_limits {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Requests that wait. */
    uint32_t requests_max;
    /** Prompt tokens that wait to be computed. */
    uint64_t tokens_max;
    /** How long a request may wait for its seat. */
    uint64_t wait_max_ns;
} rampmeter_queue_limits;

/**
 * How much of an account may come in per minute; what comes on top is shed. 0 is no limit. Set
 * `size` before.
 */
typedef struct rampmeter_rate_limits {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Requests. */
    uint32_t requests_per_minute;
    /** Tokens, prompt and output together. */
    uint64_t tokens_per_minute;
    /** How long an account must have sent nothing for its buckets to be full; 0: a minute. */
    uint64_t burst_ns;
} rampmeter_rate_limits;

/**
 * A request comes in: it waits, or is turned away because of a limit of its class or account.
 *
 * Fails: E_TIME_REVERSED, E_RANGE (a length or class outside its limits), E_STALE (the account, or
 * the request in `shares`), E_FULL (`limits.requests_max`), E_CONTRADICTION, E_SIZE, E_TOO_NEW,
 * E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_submit(struct rampmeter_batcher *batcher,
                                          uint64_t now_ns,
                                          const struct rampmeter_submission *submission,
                                          struct rampmeter_admission *admission,
                                          rampmeter_error *error);

/**
 * The host takes a request back, in whatever stage it is.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_cancel(struct rampmeter_batcher *batcher,
                                          uint64_t now_ns,
                                          uint64_t request,
                                          rampmeter_error *error);

/**
 * Gives a request another class, deadline or expiry, in any stage.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE (class), E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no.
 * Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_change(struct rampmeter_batcher *batcher,
                                          uint64_t now_ns,
                                          uint64_t request,
                                          const struct rampmeter_change *what,
                                          rampmeter_error *error);

/**
 * A prefill engine's blocks of a request that was handed over are free again.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_release(struct rampmeter_batcher *batcher,
                                           uint64_t now_ns,
                                           uint64_t request,
                                           rampmeter_error *error);

/**
 * More or less of a waiting request's prompt is found in the cache than was thought.
 *
 * Fails: E_STALE (unknown, or it does not wait), E_RANGE, E_POINTER. Allocates: no. Blocks: no.
 * Threads: one at a time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_set_cached_tokens(struct rampmeter_batcher *batcher,
                                                     uint64_t request,
                                                     uint32_t cached_tokens,
                                                     rampmeter_error *error);

/**
 * What is known of a request. Set `progress->size` before.
 *
 * Fails: E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
 * changes the batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_progress(const struct rampmeter_batcher *batcher,
                                            uint64_t request,
                                            struct rampmeter_progress *progress,
                                            rampmeter_error *error);

/**
 * Creates a batcher for one engine, with all the memory that it will ever use.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_FULL (more accounts than `limits.accounts_max`), E_DUPLICATE,
 * E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the caller's, to be given to
 * rampmeter_batcher_destroy(); NULL on failure. `policy` and `engine` are read and not kept.
 * Allocates: yes, rampmeter_batcher_bytes_needed(). Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_create(const rampmeter_policy *policy,
                                          const rampmeter_engine *engine,
                                          struct rampmeter_batcher **out,
                                          rampmeter_error *error);

/**
 * Ends a batcher. NULL is allowed and does nothing.
 *
 * Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
 */
void rampmeter_batcher_destroy(struct rampmeter_batcher *batcher);

/**
 * Bytes that a batcher for this policy takes, to within a few fixed fields.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_bytes_needed(const rampmeter_policy *policy,
                                                uint64_t *bytes,
                                                rampmeter_error *error);

/**
 * Takes a changed policy; nothing that waits or runs is lost. Targets of requests that came before
 * stay as they were; weights, guarantees and rules hold from the next step on.
 *
 * Fails: E_RANGE if it has other numbers of classes or accounts, another capacity or engine mode:
 * these are fixed; E_CONTRADICTION if an account has another parent; E_POINTER. Allocates: no.
 * Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_set_policy(struct rampmeter_batcher *batcher,
                                              const rampmeter_policy *policy,
                                              rampmeter_error *error);

/**
 * Takes the step times of `engine` for what is known beforehand; what was learned starts anew from
 * them. Its KV cache is not read: that of a batcher does not change.
 *
 * Fails: E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at a
 * time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_set_engine(struct rampmeter_batcher *batcher,
                                              const rampmeter_engine *engine,
                                              rampmeter_error *error);

/**
 * Bytes that rampmeter_batcher_save() will write now.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
 * batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_snapshot_bytes(const struct rampmeter_batcher *batcher,
                                                  uint64_t *bytes,
                                                  rampmeter_error *error);

/**
 * Writes all state into `out`; `*written` is its length. Handles of requests stay good in what is
 * restored from it.
 *
 * Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_save(const struct rampmeter_batcher *batcher,
                                        uint8_t *out,
                                        size_t capacity,
                                        size_t *written,
                                        rampmeter_error *error);

/**
 * Creates a batcher from `len` bytes that rampmeter_batcher_save() wrote, which are believed in
 * nothing: damaged or forged ones are refused. `policy` and the KV cache of `engine` must be those
 * that it had; the step times come from the snapshot.
 *
 * Fails: E_SNAPSHOT, and as rampmeter_batcher_create(). Ownership, and so on: as there. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_restore(const rampmeter_policy *policy,
                                           const rampmeter_engine *engine,
                                           const uint8_t *bytes,
                                           size_t len,
                                           struct rampmeter_batcher **out,
                                           rampmeter_error *error);

/**
 * Forms the next step into the caller's arrays. Where there is nothing to run, `formed->runs` is 0;
 * requests may still have lost their KV, or have expired.
 *
 * Fails: E_TIME_REVERSED, E_FULL (as many steps are in flight as may be), E_BUFFER_TOO_SMALL,
 * E_SIZE, E_TOO_NEW, E_POINTER. Ownership: the arrays stay the caller's and are not kept.
 * Allocates: no. Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_form(struct rampmeter_batcher *batcher,
                                        uint64_t now_ns,
                                        const struct rampmeter_plan *plan,
                                        struct rampmeter_formed *formed,
                                        rampmeter_error *error);

/**
 * As rampmeter_batcher_form(), asking the host's prefix cache about each request that is about to be
 * let in. NULL for `cached_tokens` asks nobody.
 *
 * Fails, ownership, and so on: as rampmeter_batcher_form(). Since: 0.1.
 */
rampmeter_status rampmeter_batcher_form_with_cache(struct rampmeter_batcher *batcher,
                                                   uint64_t now_ns,
                                                   const struct rampmeter_plan *plan,
                                                   rampmeter_cached_tokens_fn cached_tokens,
                                                   void *context,
                                                   struct rampmeter_formed *formed,
                                                   rampmeter_error *error);

/**
 * What really happened in the oldest step in flight. Requests that finished are forgotten.
 *
 * Fails: E_TIME_REVERSED, E_STALE (a request that is unknown), E_RANGE (another step than the
 * oldest, or a count outside its limits), E_CONTRADICTION, E_SIZE, E_TOO_NEW, E_POINTER.
 * Allocates: no. Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_observe(struct rampmeter_batcher *batcher,
                                           uint64_t now_ns,
                                           const struct rampmeter_observation *observation,
                                           struct rampmeter_observed *observed,
                                           rampmeter_error *error);

/**
 * Free KV blocks as the engine counts them, between two observations.
 *
 * Fails: E_TIME_REVERSED, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_set_kv_blocks_free(struct rampmeter_batcher *batcher,
                                                      uint64_t now_ns,
                                                      uint32_t kv_blocks_free,
                                                      rampmeter_error *error);

/**
 * When to call again: now if a step can be formed, else when the oldest step should be done or a
 * request expires; RAMPMETER_NEVER if nothing happens until a request comes in.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
 * batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_next_event(const struct rampmeter_batcher *batcher,
                                              uint64_t now_ns,
                                              uint64_t *next_ns,
                                              rampmeter_error *error);

/**
 * What the batcher holds and how full it is.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_stats(const struct rampmeter_batcher *batcher,
                                         struct rampmeter_stats_batcher *stats,
                                         rampmeter_error *error);

/**
 * How much of a class waits, and how fast it drains.
 *
 * Fails: E_RANGE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
 * changes the batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_class_stats(const struct rampmeter_batcher *batcher,
                                               uint32_t class_index,
                                               struct rampmeter_stats_class *stats,
                                               rampmeter_error *error);

/**
 * How well the step times are known.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_model_stats(const struct rampmeter_batcher *batcher,
                                               struct rampmeter_stats_model *stats,
                                               rampmeter_error *error);

/**
 * Why a request is not in the batch, and when it will be. Takes time in proportion to what waits.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any
 * number, while nobody changes the batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_explain(const struct rampmeter_batcher *batcher,
                                           uint64_t now_ns,
                                           uint64_t request,
                                           struct rampmeter_explanation *explanation,
                                           rampmeter_error *error);

/**
 * The handle of an account that the policy names, by its place there.
 *
 * Fails: E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_policy_account(const struct rampmeter_batcher *batcher,
                                                  uint32_t account_index,
                                                  uint64_t *account,
                                                  rampmeter_error *error);

/**
 * Opens an account at run time, below `parent` (0: at the top).
 *
 * Fails: E_STALE (parent), E_RANGE_REAL (weight), E_RANGE (too deep), E_FULL, E_POINTER.
 * Allocates: no. Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_open_account(struct rampmeter_batcher *batcher,
                                                uint64_t parent,
                                                double weight,
                                                uint64_t *account,
                                                rampmeter_error *error);

/**
 * Closes an account that was opened at run time and has no requests.
 *
 * Fails: E_STALE, E_CONTRADICTION (the policy names it, it has requests or accounts below it),
 * E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_close_account(struct rampmeter_batcher *batcher,
                                                 uint64_t account,
                                                 rampmeter_error *error);

/**
 * Gives an account another weight.
 *
 * Fails: E_STALE, E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_set_account_weight(struct rampmeter_batcher *batcher,
                                                      uint64_t account,
                                                      double weight,
                                                      rampmeter_error *error);

/**
 * Limits what may wait of an account and those below it, from the next request on.
 *
 * Fails: E_STALE, E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at
 * a time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_set_account_queue(struct rampmeter_batcher *batcher,
                                                     uint64_t account,
                                                     const struct rampmeter_queue_limits *limits,
                                                     rampmeter_error *error);

/**
 * Limits how fast an account and those below it may send, from the next request on.
 *
 * Fails: E_STALE, E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at
 * a time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_set_account_rates(struct rampmeter_batcher *batcher,
                                                     uint64_t account,
                                                     const struct rampmeter_rate_limits *limits,
                                                     rampmeter_error *error);

/**
 * Says which copy this engine is, 0 to `limits.replicas_max`, before anything is told or merged, and
 * after a restart which incarnation: a larger number than before.
 *
 * Fails: E_RANGE, E_CONTRADICTION, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_set_replica(struct rampmeter_batcher *batcher,
                                               uint32_t replica,
                                               uint64_t incarnation,
                                               rampmeter_error *error);

/**
 * Gives an account that was opened at run time the key by which other copies know it. Those that
 * the policy names have theirs.
 *
 * Fails: E_STALE, E_RANGE (0), E_DUPLICATE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a
 * time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_set_account_key(struct rampmeter_batcher *batcher,
                                                   uint64_t account,
                                                   uint64_t key,
                                                   rampmeter_error *error);

/**
 * Service of an account in a class, at all copies as far as this one knows, in prompt tokens.
 *
 * Fails: E_STALE, E_RANGE (class), E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_account_service(const struct rampmeter_batcher *batcher,
                                                   uint32_t class_index,
                                                   uint64_t account,
                                                   double *service_tokens,
                                                   rampmeter_error *error);

/**
 * Writes what was charged here since it was told last, for all other copies alike, and takes it for
 * told. With too short an array the next call goes on where this one ended.
 *
 * Fails: E_CONTRADICTION (it is alone), E_BUFFER_TOO_SMALL (no room for one), E_SIZE, E_POINTER.
 * Allocates: no. Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_delta(struct rampmeter_batcher *batcher,
                                         rampmeter_delta_entry *entries,
                                         size_t capacity,
                                         rampmeter_delta *delta,
                                         rampmeter_error *error);

/**
 * Takes what another copy told: from the next step on it counts as service received. In any order,
 * once or often. Read `replica` and `incarnation` of `delta`; the rest of it is not looked at.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_CONTRADICTION, E_FULL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates:
 * no. Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_merge(struct rampmeter_batcher *batcher,
                                         const rampmeter_delta *delta,
                                         const rampmeter_delta_entry *entries,
                                         size_t len,
                                         rampmeter_merged *merged,
                                         rampmeter_error *error);

/**
 * Forgets what was heard from a copy that is gone; what was charged stays charged.
 *
 * Fails: E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each batcher.
 * Since: 0.1.
 */
rampmeter_status rampmeter_batcher_forget_replica(struct rampmeter_batcher *batcher,
                                                  uint32_t replica,
                                                  rampmeter_error *error);

/**
 * Room for KV outside the cache, `kv_blocks` blocks, with the seconds (0 to 1) that one takes to be
 * moved out and to come back; 0 blocks: KV that gives way is dropped and computed again.
 *
 * Fails: E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each
 * batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_set_swap(struct rampmeter_batcher *batcher,
                                            uint32_t kv_blocks,
                                            double out_s_per_block,
                                            double in_s_per_block,
                                            rampmeter_error *error);

/**
 * The KV of a request that was swapped out is lost: it is computed again.
 *
 * Fails: E_TIME_REVERSED, E_STALE (unknown, or not swapped out), E_POINTER. Allocates: no. Blocks:
 * no. Threads: one at a time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_drop_swapped(struct rampmeter_batcher *batcher,
                                                uint64_t now_ns,
                                                uint64_t request,
                                                rampmeter_error *error);

/* ================================================================================================
 * Dynamic batcher: which whole requests run together in the next batch of an ordinary model
 *
 * For vision, embedding and ranking models, which answer a batch in one go. The host submits requests
 * as they come, and asks rampmeter_dynamic_form() whenever an instance is idle: launch these now, or
 * wait until when. rampmeter_dynamic_observe() hears when a batch has ended, and learns how long
 * batches take. A drop-in for "largest size and longest delay", which is one of its rules.
 * `docs/policies/dynamic.md` says how it decides.
 */

/** When to launch: by the price of waiting and of launching. */
#define RAMPMETER_RULE_PRICED 0

/**
 * The largest preferred size as soon as it is there, else whatever is there once the oldest has
 * waited `queue_delay_max_ns`.
 */
#define RAMPMETER_RULE_FIXED 1

/** A request that waited for too long is taken out and reported. */
#define RAMPMETER_EXPIRY_REJECT 0

/** It goes behind all others of its class. */
#define RAMPMETER_EXPIRY_DELAY 1

/** rampmeter_admission::shed_reason of a dynamic batcher: `requests_max` are known. */
#define RAMPMETER_DYNAMIC_SHED_FULL 1

/** `queue_max` of its class wait. */
#define RAMPMETER_DYNAMIC_SHED_QUEUE_FULL 2

/** It would probably wait longer than `wait_max_ns`. */
#define RAMPMETER_DYNAMIC_SHED_WAIT_TOO_LONG 3

/** What to do: nothing waits. */
#define RAMPMETER_DYNAMIC_IDLE 0

/** Nothing before `until_ns`, unless a request comes or a batch ends. */
#define RAMPMETER_DYNAMIC_WAIT 1

/** Run this batch now, and ask again: another instance may be idle. */
#define RAMPMETER_DYNAMIC_LAUNCH 2

/** Why: every instance runs a batch. */
#define RAMPMETER_DYNAMIC_WHY_BUSY 0

/** Launch: the largest batch that there can be. */
#define RAMPMETER_DYNAMIC_WHY_FULL 1

/** Launch: nothing that could come is worth waiting for. */
#define RAMPMETER_DYNAMIC_WHY_WORTH_NOW 2

/** Launch: a preferred size is there. */
#define RAMPMETER_DYNAMIC_WHY_PREFERRED 3

/** Launch: waiting longer would cost somebody the deadline. */
#define RAMPMETER_DYNAMIC_WHY_DEADLINE 4

/** Launch: the oldest request has waited as long as it may. */
#define RAMPMETER_DYNAMIC_WHY_DELAY_MAX 5

/** Launch: only requests whose deadlines are lost. */
#define RAMPMETER_DYNAMIC_WHY_LATE 6

/** Wait: more requests are worth their price. */
#define RAMPMETER_DYNAMIC_WHY_WORTH_WAITING 7

/** Wait: more have expired than the array holds; ask again at once. */
#define RAMPMETER_DYNAMIC_WHY_MORE_EXPIRED 8

/** A batch ran as it should: its duration teaches the curve. */
#define RAMPMETER_ENDING_COMPLETED 0

/** It failed, or its duration means nothing. */
#define RAMPMETER_ENDING_FAILED 1

/** Where a request is: it waits, and can still be in time. */
#define RAMPMETER_DYNAMIC_STAGE_WAITING 0

/** It has expired and waits behind its class. */
#define RAMPMETER_DYNAMIC_STAGE_DELAYED 1

/** It waits, and its deadline is lost. */
#define RAMPMETER_DYNAMIC_STAGE_LATE 2

/** It is in a batch. */
#define RAMPMETER_DYNAMIC_STAGE_RUNNING 3

/** It was cancelled while in a batch. */
#define RAMPMETER_DYNAMIC_STAGE_CANCELLED 4

/**
 * Forms the batches of one model on one or several instances. One thread at a time may change it;
 * calls with a `const` pointer may run side by side.
 */
typedef struct rampmeter_dynamic rampmeter_dynamic;

/** A kind of request. Set all of it to 0, then what is known. */
typedef struct rampmeter_dynamic_class {
    /** Deadline of a request that brings none, from its arrival; 0: it has none. */
    uint64_t latency_target_ns;
    /** How long a request may live that does not say it; 0: for ever. */
    uint64_t timeout_ns;
    /** What a second of delay is worth, 0.0001 to 10,000; 0: 1. */
    double delay_value;
    /**
     * Part of all seats that is kept for this class while it waits, up to 1; 0: 0.02;
     * RAMPMETER_ZERO: none.
     */
    double guaranteed_ratio;
    /** Requests that may wait; 0: any number. */
    uint32_t queue_max;
    /** RAMPMETER_EXPIRY_... */
    uint32_t expiry;
} rampmeter_dynamic_class;

/** How long a batch takes. */
typedef struct rampmeter_curve_point {
    /** Seconds, 1e-9 to 3,600, no less than those of a smaller batch. */
    double seconds;
    /** Requests in it, up to 2^20; larger than that of the point before. */
    uint32_t batch_size;
    /** Must be 0. */
    uint32_t reserved;
} rampmeter_curve_point;

/**
 * How long batches of each size take. Set all of it to 0, then what is known: points, or a
 * straight line.
 */
typedef struct rampmeter_curve {
    /**
     * Up to 64 points, in order of size, with straight lines between them; NULL: a straight line
     * through all.
     */
    const struct rampmeter_curve_point *points;
    /** Elements of `points`; 0: `fixed_s` and `each_s` are read. */
    uint32_t points_len;
    /** 1: it stays as it is given; 0: it learns from what is observed. */
    uint8_t fixed;
    /** Must be 0. */
    uint8_t reserved[3];
    /** Seconds of a batch, whatever its size. */
    double fixed_s;
    /** And so many more for each request. */
    double each_s;
} rampmeter_curve;

/**
 * What a dynamic batcher is made from. Set all of it to 0, then `size`, then what is known: the
 * largest batch, and a curve.
 */
typedef struct rampmeter_dynamic_options {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Largest batch, 1 to 4,096. */
    uint32_t batch_size_max;
    /** Requests that may be known at once, running ones included, up to 2^20; 0: 16,384. */
    uint32_t requests_max;
    /** Executors that run batches at the same time, up to 64; 0: 1. */
    uint32_t instances;
    /** Accounts that may be open at once; 0: 1. */
    uint32_t accounts_max;
    /** RAMPMETER_RULE_... */
    uint32_t rule;
    /** Elements of `preferred_sizes`, up to 16. */
    uint32_t preferred_sizes_len;
    /** Elements of `classes`, up to 16; 0: one class with the defaults. */
    uint32_t classes_len;
    /** Elements of `buckets`, 1 to 16, and times the classes at most 64. */
    uint32_t buckets_len;
    /**
     * 1: requests may ride in a batch of a later bucket, padded to its shape, where that is
     * cheaper.
     */
    uint8_t padding;
    /** 1: an idle instance is never kept waiting; 0: as the field `queue_delay_max_ns` says. */
    uint8_t no_queue_delay;
    /** Must be 0. */
    uint8_t reserved[2];
    /** Sizes that the model runs best, in growing order. */
    const uint32_t *preferred_sizes;
    /** In order of precedence. */
    const struct rampmeter_dynamic_class *classes;
    /** A latency curve for each bucket of shapes, small shapes first. */
    const struct rampmeter_curve *buckets;
    /**
     * Longest that an idle instance is kept waiting, from the arrival of the oldest; 0: the time
     * of the largest batch, or none at all with RAMPMETER_RULE_FIXED.
     */
    uint64_t queue_delay_max_ns;
    /** Requests that would probably wait longer are shed; 0: none are. */
    uint64_t wait_max_ns;
    /**
     * How far past its fair turn an account may go, in time of instances, for an earlier deadline;
     * 0: 100 ms. 1 is as good as none.
     */
    uint64_t urgency_credit_ns;
    /**
     * What a missed deadline costs, in deadlines' worth of delay, up to 1,000; 0: 4;
     * RAMPMETER_ZERO: nothing.
     */
    double miss_ratio;
    /**
     * By how much waiting must be cheaper than launching to be done, up to 1; 0: 0.3;
     * RAMPMETER_ZERO: not at all.
     */
    double wait_gain_ratio;
    /**
     * Part of the seats that is kept for requests that can no longer be in time, up to 0.5; 0:
     * 0.01; RAMPMETER_ZERO: none.
     */
    double late_ratio;
} rampmeter_dynamic_options;

/** A request that comes in. Set all of it to 0, then `size`, then what is known. */
typedef struct rampmeter_dynamic_submission {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Place of its class in the options. */
    uint32_t class_index;
    /** The host's own number for it; returned in every plan, never read. */
    uint64_t tag;
    /** Whose request it is. */
    uint64_t account;
    /** When it reached the host; its targets count from here. At most `now_ns`; 0: now. */
    uint64_t arrival_ns;
    /** When its answer is due; 0: what its class says, if anything. */
    uint64_t deadline_ns;
    /** From when on it is of no use to anybody; 0: what its class says, if anything. */
    uint64_t expires_at_ns;
    /** Place of its bucket in the options. */
    uint32_t bucket;
    /** Must be 0. */
    uint32_t reserved;
} rampmeter_dynamic_submission;

/** One request of a batch. */
typedef struct rampmeter_dynamic_entry {
    /** The request. */
    uint64_t request;
    /** The host's own number for it. */
    uint64_t tag;
    /** 1: its deadline is lost, or given up for more others. */
    uint8_t late;
    /** Mean nothing. */
    uint8_t reserved[7];
} rampmeter_dynamic_entry;

/**
 * Arrays of the caller for one batch. Set each of them to 0 once before its first use, as calloc()
 * does.
 */
typedef struct rampmeter_dynamic_plan {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Elements of `entries`, at least `batch_size_max`. */
    uint32_t entries_capacity;
    /** Elements of `expired`, at least 1; what does not fit is reported by the next call. */
    uint32_t expired_capacity;
    /** Must be 0. */
    uint32_t reserved;
    /** The batch. */
    struct rampmeter_dynamic_entry *entries;
    /** Who waited for too long. */
    rampmeter_expiry *expired;
} rampmeter_dynamic_plan;

/** What to do. Set `size` before. */
typedef struct rampmeter_dynamic_formed {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** RAMPMETER_DYNAMIC_IDLE, RAMPMETER_DYNAMIC_WAIT or RAMPMETER_DYNAMIC_LAUNCH. */
    uint32_t decision;
    /** Launch: the batch, to be observed. Else 0. */
    uint64_t batch;
    /** Wait: when to ask again. Else 0. */
    uint64_t until_ns;
    /** Launch: when it is expected to end. Else 0. */
    uint64_t ends_at_ns;
    /** Launch: the bucket whose shape it has. */
    uint32_t bucket;
    /** Launch: the instance that is to run it. */
    uint32_t instance;
    /** Launch: elements written to rampmeter_dynamic_plan::entries. Else 0. */
    uint32_t entries_len;
    /** Elements written to rampmeter_dynamic_plan::expired, whatever the decision. */
    uint32_t expired_len;
    /** Launch or wait: RAMPMETER_DYNAMIC_WHY_... */
    uint8_t why;
    /** 0. */
    uint8_t reserved[7];
} rampmeter_dynamic_formed;

/** What really happened to a batch. Set all of it to 0, then `size`. */
typedef struct rampmeter_dynamic_observation {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** RAMPMETER_ENDING_...; its requests end with it either way. */
    uint32_t ending;
    /** The batch. */
    uint64_t batch;
    /** How long it took, as measured; 0: from its launch until now. */
    uint64_t duration_ns;
} rampmeter_dynamic_observation;

/** What an observation changed. Set `size` before. */
typedef struct rampmeter_dynamic_observed {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Requests that ended. */
    uint32_t finished;
    /** Of these, requests that had a deadline and met it. */
    uint32_t in_time;
    /** Of these, requests that had a deadline and missed it. */
    uint32_t missed;
} rampmeter_dynamic_observed;

/** What a dynamic batcher holds, how full it is, and what it did so far. Set `size` before. */
typedef struct rampmeter_stats_dynamic {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Requests that wait, late ones included. */
    uint32_t waiting;
    /** Of these, requests whose deadline is lost. */
    uint32_t late;
    /** Requests known, running ones included. */
    uint32_t requests;
    /** Capacity for them. */
    uint32_t requests_max;
    /** Batches that run. */
    uint32_t batches_running;
    /** Accounts open. */
    uint32_t accounts;
    /** 0. */
    uint32_t reserved;
    /** Batches launched so far. */
    uint64_t batches;
    /** Requests launched so far. */
    uint64_t launched;
    /** Requests that expired so far. */
    uint64_t expired;
    /** Requests turned away so far. */
    uint64_t shed;
} rampmeter_stats_dynamic;

/** The latency curve of a bucket, as learned so far. Set `size` before. */
typedef struct rampmeter_stats_curve {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 1: it changes with what is observed. */
    uint32_t learns;
    /** Seconds of a batch of the size asked for. */
    double seconds;
    /** Batches observed, over all sizes. */
    uint64_t samples;
    /**
     * Recent batches that speak for this size: 0 if it rests on others and on what was given, at
     * most 64.
     */
    double weight;
    /** Mean deviation of observed batches from the curve, as a part of its prediction. */
    double spread_ratio;
    /** The most requests a second that batches of up to this size serve. */
    double best_rate_per_s;
    /** The size that does. */
    uint32_t best_size;
    /** The next larger size at which the slope changes; 0: none. */
    uint32_t next_knot;
} rampmeter_stats_curve;

/** Where a request is, and what was last decided for its bucket. Set `size` before. */
typedef struct rampmeter_dynamic_explanation {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Requests in time that wait in its bucket, itself included if it is one. */
    uint32_t waiting;
    /** Late ones there. */
    uint32_t late;
    /**
     * Requests that were to be launched when its bucket was last decided about; 0: it was to wait.
     */
    uint32_t launch_size;
    /** When its answer is due; RAMPMETER_NEVER: at no time. */
    uint64_t deadline_ns;
    /**
     * The last moment at which it could be launched alone and be in time; RAMPMETER_NEVER: there
     * is none.
     */
    uint64_t latest_launch_ns;
    /** Arrivals a second in its bucket, as estimated. */
    double rate_per_s;
    /** Seconds that were to be waited for more. */
    double wait_s;
    /** Value-seconds that launching was expected to cost. */
    double launch_cost;
    /** Value-seconds that the best waiting was expected to cost; infinite if there was none. */
    double wait_cost;
    /** RAMPMETER_DYNAMIC_STAGE_... */
    uint8_t stage;
    /** RAMPMETER_DYNAMIC_WHY_... */
    uint8_t why;
    /** 1: its bucket was decided about; 0: the fields of the decision mean nothing. */
    uint8_t decided;
    /** 0. */
    uint8_t reserved[5];
} rampmeter_dynamic_explanation;

/**
 * Creates a batcher without accounts or requests, with all the memory that it will ever use.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the
 * caller's, to be given to rampmeter_dynamic_destroy(); NULL on failure. `options` and what it points to are read
 * and not kept. Allocates: yes, rampmeter_dynamic_bytes_needed(). Blocks: no. Threads: any.
 * Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_create(const struct rampmeter_dynamic_options *options,
                                          struct rampmeter_dynamic **out,
                                          rampmeter_error *error);

/**
 * Ends a batcher. NULL is allowed and does nothing.
 *
 * Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
 */
void rampmeter_dynamic_destroy(struct rampmeter_dynamic *dynamic);

/**
 * Bytes that a batcher for these options takes, to within a few fixed fields.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: yes, for the time of the
 * call. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_bytes_needed(const struct rampmeter_dynamic_options *options,
                                                uint64_t *bytes,
                                                rampmeter_error *error);

/**
 * Bytes that rampmeter_dynamic_save() will write now.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
 * dynamic. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_snapshot_bytes(const struct rampmeter_dynamic *dynamic,
                                                  uint64_t *bytes,
                                                  rampmeter_error *error);

/**
 * Writes all state into `out`; `*written` is its length. Handles stay good in what is restored
 * from it, and batches that run go on running.
 *
 * Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the dynamic. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_save(const struct rampmeter_dynamic *dynamic,
                                        uint8_t *out,
                                        size_t capacity,
                                        size_t *written,
                                        rampmeter_error *error);

/**
 * Creates a batcher from `len` bytes that rampmeter_dynamic_save() wrote, which are believed in
 * nothing: damaged or forged ones are refused. `options` are those that it had, or have other rules,
 * which then hold: sizes, and the numbers of classes and buckets, must be the same. Latency curves
 * come from the snapshot.
 *
 * Fails: E_SNAPSHOT, and as rampmeter_dynamic_create(). Ownership, and so on: as there. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_restore(const struct rampmeter_dynamic_options *options,
                                           const uint8_t *bytes,
                                           size_t len,
                                           struct rampmeter_dynamic **out,
                                           rampmeter_error *error);

/**
 * A class as a policy has it: its time to first token is the latency target, for the first answer
 * of such a model is its only one.
 *
 * Fails: E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_policy_class(const rampmeter_policy *policy,
                                                uint32_t class_index,
                                                struct rampmeter_dynamic_class *class_options,
                                                rampmeter_error *error);

/**
 * Opens an account, below `parent` (0: at the top).
 *
 * Fails: E_STALE (parent), E_RANGE_REAL (weight), E_RANGE (too deep), E_FULL, E_POINTER.
 * Allocates: no. Blocks: no. Threads: one at a time for each dynamic. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_open_account(struct rampmeter_dynamic *dynamic,
                                                uint64_t parent,
                                                double weight,
                                                uint64_t *account,
                                                rampmeter_error *error);

/**
 * Closes an account that has no requests.
 *
 * Fails: E_STALE, E_CONTRADICTION, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
 * for each dynamic. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_close_account(struct rampmeter_dynamic *dynamic,
                                                 uint64_t account,
                                                 rampmeter_error *error);

/**
 * A request comes in: it waits, or is turned away because of a limit.
 *
 * Fails: E_TIME_REVERSED, E_RANGE, E_STALE (the account), E_SIZE, E_TOO_NEW, E_POINTER. Allocates:
 * no. Blocks: no. Threads: one at a time for each dynamic. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_submit(struct rampmeter_dynamic *dynamic,
                                          uint64_t now_ns,
                                          const struct rampmeter_dynamic_submission *submission,
                                          rampmeter_admission *admission,
                                          rampmeter_error *error);

/**
 * The host takes a request back. One that runs is forgotten when its batch ends.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
 * for each dynamic. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_cancel(struct rampmeter_dynamic *dynamic,
                                          uint64_t now_ns,
                                          uint64_t request,
                                          rampmeter_error *error);

/**
 * Says what to do now, and writes the batch into the caller's arrays. It speaks of one instance at
 * a time: after a launch, ask again.
 *
 * Fails: E_TIME_REVERSED, E_BUFFER_TOO_SMALL, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: the arrays
 * stay the caller's and are not kept. Allocates: no. Blocks: no. Threads: one at a time for each
 * dynamic. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_form(struct rampmeter_dynamic *dynamic,
                                        uint64_t now_ns,
                                        const struct rampmeter_dynamic_plan *plan,
                                        struct rampmeter_dynamic_formed *formed,
                                        rampmeter_error *error);

/**
 * A batch ended, in whatever order: its instance is idle, its requests are forgotten, and its
 * duration teaches the curve of its bucket.
 *
 * Fails: E_TIME_REVERSED, E_STALE (the batch does not run), E_RANGE, E_RANGE_REAL (it took no
 * time, or over an hour), E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at
 * a time for each dynamic. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_observe(struct rampmeter_dynamic *dynamic,
                                           uint64_t now_ns,
                                           const struct rampmeter_dynamic_observation *observation,
                                           struct rampmeter_dynamic_observed *observed,
                                           rampmeter_error *error);

/**
 * When to call rampmeter_dynamic_form() next: when a wait is over, a request expires, or a batch
 * should end; RAMPMETER_NEVER if only a call of the host can change anything.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
 * dynamic. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_next_event(const struct rampmeter_dynamic *dynamic,
                                              uint64_t now_ns,
                                              uint64_t *next_ns,
                                              rampmeter_error *error);

/**
 * What the batcher holds and how full it is.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the dynamic. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_stats(const struct rampmeter_dynamic *dynamic,
                                         struct rampmeter_stats_dynamic *stats,
                                         rampmeter_error *error);

/**
 * The latency curve of a bucket at one size, as learned so far.
 *
 * Fails: E_RANGE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
 * changes the dynamic. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_curve(const struct rampmeter_dynamic *dynamic,
                                         uint32_t bucket,
                                         uint32_t batch_size,
                                         struct rampmeter_stats_curve *stats,
                                         rampmeter_error *error);

/**
 * The largest batch of at most `size_max` that ends within `seconds`; 0 if not even one does.
 *
 * Fails: E_RANGE (bucket), E_RANGE_REAL (seconds below 0), E_POINTER. Allocates: no. Blocks: no.
 * Threads: any number, while nobody changes the dynamic. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_batch_within(const struct rampmeter_dynamic *dynamic,
                                                uint32_t bucket,
                                                double seconds,
                                                uint32_t size_max,
                                                uint32_t *batch_size,
                                                rampmeter_error *error);

/**
 * Where a request is, and what was last decided about its bucket.
 *
 * Fails: E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
 * changes the dynamic. Since: 0.1.
 */
rampmeter_status rampmeter_dynamic_explain(const struct rampmeter_dynamic *dynamic,
                                           uint64_t request,
                                           struct rampmeter_dynamic_explanation *explanation,
                                           rampmeter_error *error);

/* ================================================================================================
 * Gate: may this come in at all
 *
 * A gate stands before a number of servers (seats of engines). rampmeter_gate_admit() says of each
 * request whether it starts now, waits, or is turned away, by whether it would still start in time
 * behind what is queued. Whenever a server is free, ask rampmeter_gate_next() whose turn it is, and
 * rampmeter_gate_dequeue() whether that still makes sense. The gate learns from what ends how fast
 * work leaves: a host that forgets to say rampmeter_gate_ended() closes it.
 * `docs/policies/headroom.md` says how it decides.
 */

/** rampmeter_gate_admission::answer: a server is free. Start it now, and say when it ended. */
#define RAMPMETER_GATE_ADMIT 0

/** rampmeter_gate_admission::answer: it waits for its turn. */
#define RAMPMETER_GATE_HOLD 1

/** rampmeter_gate_admission::answer: it is turned away, and nothing is kept of it. */
#define RAMPMETER_GATE_SHED 2

/** Why a request is turned away: behind what is queued it would not start in time. */
#define RAMPMETER_GATE_SHED_LATE 0

/** All servers are busy, and too few requests have ended to say when one will be free. */
#define RAMPMETER_GATE_SHED_NOT_ENOUGH_DATA 1

/** There is no server. */
#define RAMPMETER_GATE_SHED_NO_SERVERS 2

/** As many requests are known as can be. */
#define RAMPMETER_GATE_SHED_FULL 3

/** What becomes of a request that was held: it starts now. */
#define RAMPMETER_GATE_START 0

/** It waited longer than its target: answer it with a refusal. */
#define RAMPMETER_GATE_EXPIRED 1

/** Its place was given to an account that had less than its share: answer it with a refusal. */
#define RAMPMETER_GATE_DISPLACED 2

/** Reasons for which a request is turned away: as many as there are RAMPMETER_GATE_SHED_... */
#define RAMPMETER_GATE_SHED_REASONS 4

/**
 * Says who may come in. One thread at a time may change it; calls with a `const` pointer may run
 * side by side.
 */
typedef struct rampmeter_gate rampmeter_gate;

/** What becomes of a request that comes in. Set `size` before. */
typedef struct rampmeter_gate_admission {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** RAMPMETER_GATE_ADMIT, RAMPMETER_GATE_HOLD or RAMPMETER_GATE_SHED. */
    uint32_t answer;
    /** Its name from now on; 0 if it is shed. */
    uint64_t ticket;
    /** When it must have started to be in time, if it is held; else 0. */
    uint64_t until_ns;
    /**
     * In how long it would be let in, as work leaves now, if it is shed: an estimate, not a
     * promise; else 0.
     */
    uint64_t retry_after_ns;
    /** RAMPMETER_GATE_SHED_...: why it is shed; else 0, and means nothing. */
    uint32_t shed_reason;
    /** 0. */
    uint32_t reserved;
} rampmeter_gate_admission;

/** What becomes of a request that a server is free for. Set `size` before. */
typedef struct rampmeter_gate_dequeued {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** RAMPMETER_GATE_START, RAMPMETER_GATE_EXPIRED or RAMPMETER_GATE_DISPLACED. */
    uint32_t answer;
    /** How long it waited; 0 if it was displaced. */
    uint64_t waited_ns;
    /** In how long it would be let in, as work leaves now, if it was displaced; else 0. */
    uint64_t retry_after_ns;
} rampmeter_gate_dequeued;

/** A request that was held and will not start. Set `size` before. */
typedef struct rampmeter_gate_refusal {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** RAMPMETER_GATE_EXPIRED or RAMPMETER_GATE_DISPLACED; 0 if there is none. */
    uint32_t reason;
    /** Its name, stale from now on; 0: there is none. */
    uint64_t ticket;
    /** Its account. */
    uint64_t account;
    /** In how long it would be let in, as work leaves now. */
    uint64_t retry_after_ns;
    /** Its class. */
    uint32_t class_index;
    /** 0. */
    uint32_t reserved;
} rampmeter_gate_refusal;

/** What a request of a class could expect. Set `size` before. */
typedef struct rampmeter_outlook {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 0. */
    uint32_t reserved;
    /** Ends until it would start; 0 if it starts at once. */
    double starts_before;
    /** Starts a second for its class. */
    double starts_per_s;
    /** Seconds that it would wait, as likely more as less; infinite where nothing leaves. */
    double likely_wait_s;
    /** Probability that it would start in time. */
    double chance;
    /** Ends that this rests on; below 10 nothing waits. */
    uint64_t samples;
} rampmeter_outlook;

/** What a gate knows and did. Set `size` before. */
typedef struct rampmeter_stats_gate {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Requests that were held and wait. */
    uint32_t waiting;
    /** Requests that run. */
    uint32_t running;
    /** Servers that there are. */
    uint32_t servers;
    /** Requests that were given up and not yet read. */
    uint32_t given_up;
    /** 0. */
    uint32_t reserved;
    /** Requests that started at once. */
    uint64_t admitted;
    /** Requests that were held. */
    uint64_t held;
    /** Requests that started after they were held. */
    uint64_t started;
    /** Requests that ended. */
    uint64_t ended;
    /** Requests that were held for too long. */
    uint64_t expired;
    /** Requests that were held, and gave way to another account. */
    uint64_t displaced;
    /** Requests that were turned away, by RAMPMETER_GATE_SHED_... */
    uint64_t shed[RAMPMETER_GATE_SHED_REASONS];
} rampmeter_stats_gate;

/**
 * Creates a gate before `servers` servers, 0 to 1,048,576, with all the memory that it will ever
 * use: for `limits.requests_max` requests and `limits.accounts_max` accounts.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_FULL (more accounts than `limits.accounts_max`), E_MEMORY,
 * E_POINTER. Ownership: `*out` is the caller's, to be given to rampmeter_gate_destroy(); NULL on
 * failure. `policy` is read and not kept. Allocates: yes, rampmeter_gate_bytes_needed(). Blocks: no.
 * Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_gate_create(const rampmeter_policy *policy,
                                       uint32_t servers,
                                       struct rampmeter_gate **out,
                                       rampmeter_error *error);

/**
 * Ends a gate. NULL is allowed and does nothing.
 *
 * Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
 */
void rampmeter_gate_destroy(struct rampmeter_gate *gate);

/**
 * Bytes that a gate for this policy takes, to within a few fixed fields.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_gate_bytes_needed(const rampmeter_policy *policy,
                                             uint64_t *bytes,
                                             rampmeter_error *error);

/**
 * Takes a changed policy; nothing that waits or runs is lost. Targets, guarantees, weights and rules
 * hold from now on, for what waits as well.
 *
 * Fails: E_RANGE if it has other numbers of classes or accounts, or another capacity: these are
 * fixed; E_RANGE_REAL, E_CONTRADICTION (an account has another parent, or an account or a class
 * another name: they are known by their places), E_POINTER. Allocates: no. Blocks: no. Threads: one at
 * a time for each gate. Since: 0.1.
 */
rampmeter_status rampmeter_gate_set_policy(struct rampmeter_gate *gate,
                                           const rampmeter_policy *policy,
                                           rampmeter_error *error);

/**
 * From now on there are so many servers, 0 to 1,048,576. More may run than that for a while.
 *
 * Fails: E_TIME_REVERSED, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each gate. Since: 0.1.
 */
rampmeter_status rampmeter_gate_set_servers(struct rampmeter_gate *gate,
                                            uint64_t now_ns,
                                            uint32_t servers,
                                            rampmeter_error *error);

/**
 * The handle of an account that the policy names, by its place there.
 *
 * Fails: E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the gate. Since: 0.1.
 */
rampmeter_status rampmeter_gate_policy_account(const struct rampmeter_gate *gate,
                                               uint32_t account_index,
                                               uint64_t *account,
                                               rampmeter_error *error);

/**
 * Opens an account at run time, below `parent` (0: at the top).
 *
 * Fails: E_STALE (parent), E_RANGE_REAL (weight), E_RANGE (too deep), E_FULL, E_POINTER.
 * Allocates: no. Blocks: no. Threads: one at a time for each gate. Since: 0.1.
 */
rampmeter_status rampmeter_gate_open_account(struct rampmeter_gate *gate,
                                             uint64_t parent,
                                             double weight,
                                             uint64_t *account,
                                             rampmeter_error *error);

/**
 * Closes an account that was opened at run time and has no requests.
 *
 * Fails: E_STALE, E_CONTRADICTION (the policy names it, it has requests or accounts below it),
 * E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each gate. Since: 0.1.
 */
rampmeter_status rampmeter_gate_close_account(struct rampmeter_gate *gate,
                                              uint64_t account,
                                              rampmeter_error *error);

/**
 * Bytes that rampmeter_gate_save() will write now.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the gate.
 * Since: 0.1.
 */
rampmeter_status rampmeter_gate_snapshot_bytes(const struct rampmeter_gate *gate,
                                               uint64_t *bytes,
                                               rampmeter_error *error);

/**
 * Writes all state into `out`; `*written` is its length. Tickets and accounts stay good in what is
 * restored from it.
 *
 * Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the gate. Since: 0.1.
 */
rampmeter_status rampmeter_gate_save(const struct rampmeter_gate *gate,
                                     uint8_t *out,
                                     size_t capacity,
                                     size_t *written,
                                     rampmeter_error *error);

/**
 * Creates a gate from `len` bytes that rampmeter_gate_save() wrote, which are believed in nothing:
 * damaged or forged ones are refused. `policy` must be the one that it was under; the number of
 * servers comes from the snapshot.
 *
 * Fails: E_SNAPSHOT, and as rampmeter_gate_create(). Ownership, and so on: as there. Since: 0.1.
 */
rampmeter_status rampmeter_gate_restore(const rampmeter_policy *policy,
                                        const uint8_t *bytes,
                                        size_t len,
                                        struct rampmeter_gate **out,
                                        rampmeter_error *error);

/**
 * A request comes in: it starts now, waits, or is turned away. `work` is 1 where all requests are
 * alike, else in any unit that says how long it keeps a server, the same for all: 1 to 16,777,216.
 *
 * Fails: E_TIME_REVERSED, E_RANGE (class or work), E_STALE (account), E_SIZE, E_POINTER. Allocates:
 * no. Blocks: no. Threads: one at a time for each gate. Since: 0.1.
 */
rampmeter_status rampmeter_gate_admit(struct rampmeter_gate *gate,
                                      uint64_t now_ns,
                                      uint32_t class_index,
                                      uint64_t account,
                                      uint32_t work,
                                      struct rampmeter_gate_admission *admission,
                                      rampmeter_error *error);

/**
 * Whose turn it is among those that wait; `*ticket` is 0 if nobody does, or if no server is free. It
 * stays in line until it is dequeued. Ask until it is 0 after each end, and when servers are added. A
 * host may have an order of its own instead; what is promised to classes is then its own, too.
 *
 * Fails: E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each
 * gate. Since: 0.1.
 */
rampmeter_status rampmeter_gate_next(struct rampmeter_gate *gate,
                                     uint64_t now_ns,
                                     uint64_t *ticket,
                                     rampmeter_error *error);

/**
 * A server is free for a request that was held: it starts, or is dropped, and its ticket is stale.
 * Take the next one then. With `gate.expiry` off nothing expires.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_CONTRADICTION (it runs, or would start and no server is free),
 * E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each gate. Since: 0.1.
 */
rampmeter_status rampmeter_gate_dequeue(struct rampmeter_gate *gate,
                                        uint64_t now_ns,
                                        uint64_t ticket,
                                        struct rampmeter_gate_dequeued *dequeued,
                                        rampmeter_error *error);

/**
 * A request that ran left its server, whatever became of it; its ticket is stale.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_CONTRADICTION (it does not run), E_POINTER. Allocates: no.
 * Blocks: no. Threads: one at a time for each gate. Since: 0.1.
 */
rampmeter_status rampmeter_gate_ended(struct rampmeter_gate *gate,
                                      uint64_t now_ns,
                                      uint64_t ticket,
                                      rampmeter_error *error);

/**
 * A request is gone, wherever it was: cancelled, or its client with it. One that ran leaves its
 * server as in rampmeter_gate_ended(); what one that waited was charged is given back.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each gate. Since: 0.1.
 */
rampmeter_status rampmeter_gate_left(struct rampmeter_gate *gate,
                                     uint64_t now_ns,
                                     uint64_t ticket,
                                     rampmeter_error *error);

/**
 * A request that was held and will not start, the one longest so first; `refusal->ticket` is 0 if
 * there is none. Answer these at once: until a host has asked, each takes one of the
 * `limits.requests_max` places. A host that never asks learns it when it dequeues.
 *
 * Fails: E_TIME_REVERSED, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each gate. Since: 0.1.
 */
rampmeter_status rampmeter_gate_given_up(struct rampmeter_gate *gate,
                                         uint64_t now_ns,
                                         struct rampmeter_gate_refusal *refusal,
                                         rampmeter_error *error);

/**
 * When to ask rampmeter_gate_given_up() again: now if somebody was given up already, else when the
 * next that waits will have waited too long; RAMPMETER_NEVER if nothing will happen by itself.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the gate.
 * Since: 0.1.
 */
rampmeter_status rampmeter_gate_next_event(const struct rampmeter_gate *gate,
                                           uint64_t now_ns,
                                           uint64_t *next_ns,
                                           rampmeter_error *error);

/**
 * What a request of a class would find if it came now and displaced nobody.
 *
 * Fails: E_TIME_REVERSED, E_RANGE (class), E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads:
 * any number, while nobody changes the gate. Since: 0.1.
 */
rampmeter_status rampmeter_gate_outlook(const struct rampmeter_gate *gate,
                                        uint64_t now_ns,
                                        uint32_t class_index,
                                        struct rampmeter_outlook *outlook,
                                        rampmeter_error *error);

/**
 * What the gate knows and did so far.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the gate. Since: 0.1.
 */
rampmeter_status rampmeter_gate_stats(const struct rampmeter_gate *gate,
                                      struct rampmeter_stats_gate *stats,
                                      rampmeter_error *error);

/* ================================================================================================
 * Headroom: how much is safe
 *
 * Three desks of planning. A rampmeter_headroom hears what comes, starts and ends on one pool of
 * replicas, and says how much more it can take, how many replicas are needed, and whether one can
 * go; each answer carries its limits of confidence, or says how much is missing for one. A
 * rampmeter_reserve says whether a batch job waits so that urgent work finds room. A
 * rampmeter_shadow_price says what a GPU is worth while others wait for it. None of them is asked for
 * every request: that is what a gate is for. `docs/policies/headroom.md` says how they decide.
 */

/** rampmeter_estimate::basis: formulas, from measured rates and variabilities. */
#define RAMPMETER_BASIS_MODEL 0

/** The requests that came, tried out at other loads. */
#define RAMPMETER_BASIS_REHEARSED 1

/** Waits that were observed, and nothing else: it holds for the load that there was. */
#define RAMPMETER_BASIS_OBSERVED 2

/** rampmeter_can_remove::answer: too few requests were seen to say anything. */
#define RAMPMETER_REMOVE_NOT_ENOUGH_DATA 0

/** Some target is likely missed without it. */
#define RAMPMETER_REMOVE_NO 1

/** Every target likely holds without it; it may turn out to be needed. */
#define RAMPMETER_REMOVE_PERHAPS 2

/** Every target holds without it, nineteen times out of twenty. */
#define RAMPMETER_REMOVE_YES 3

/** rampmeter_hold_verdict::reason: the two prices. */
#define RAMPMETER_HOLD_PRICE 0

/** The least reserve that the policy asks for. */
#define RAMPMETER_HOLD_RESERVE 1

/** Too few urgent requests have ended to say anything: the job starts. */
#define RAMPMETER_HOLD_NOT_ENOUGH_DATA 2

/**
 * Says how much load one pool of replicas can take. One thread at a time may change it; calls with a
 * `const` pointer may run side by side.
 */
typedef struct rampmeter_headroom rampmeter_headroom;

/**
 * Says whether batch work waits for urgent work. One thread at a time may change it; calls with a
 * `const` pointer may run side by side.
 */
typedef struct rampmeter_reserve rampmeter_reserve;

/**
 * The price of a GPU-second, from what waits and what is offered. One thread at a time may change
 * it; calls with a `const` pointer may run side by side.
 */
typedef struct rampmeter_shadow_price rampmeter_shadow_price;

/**
 * What requests of an engine look like on average. Set all of it to 0, then `size`, then the rest.
 */
typedef struct rampmeter_request_shape {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Prompt tokens that have to be computed, 1 to 16,777,216. */
    uint32_t prompt_tokens;
    /** Output tokens, 1 to 16,777,216. */
    uint32_t output_tokens;
    /** Must be 0. */
    uint32_t reserved;
    /** Squared coefficient of variation of the output tokens, 0 (all alike) to 100. */
    double output_scv;
} rampmeter_request_shape;

/** A class that waits for the pool. 0 in a field means the default. */
typedef struct rampmeter_headroom_class {
    /** Longest wait that is in time, up to a day; 0: 2 seconds. */
    uint64_t target_ns;
    /** Share of requests that may wait longer, 0.0001 to 0.5; 0: 0.05. */
    double late_ratio_max;
    /**
     * What one second of delay is worth, 0.0001 to 10,000; 0: 1, a second of an interactive user.
     */
    double delay_value;
} rampmeter_headroom_class;

/** What a pool is. Set all of it to 0, then `size`, then what is known. */
typedef struct rampmeter_headroom_options {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Elements of `classes`, 1 to 16. */
    uint32_t classes_len;
    /** Who waits for it, first come, first served. */
    const struct rampmeter_headroom_class *classes;
    /** Requests that a replica serves at once, 1 to 4,096; 0: 1. See rampmeter_engine_seats(). */
    uint32_t seats;
    /** Replicas at the beginning, 0 to `replicas_max`. */
    uint32_t replicas;
    /**
     * Most replicas that there may be, 1 to 65,536, and 2^18 seats in all; 0: no more than at the
     * beginning, at least 1.
     */
    uint32_t replicas_max;
    /**
     * Requests after which one counts 1/e of what it did, 1,000 to 10,000,000; 0: 100,000, which
     * know a knee to about 1% under Poisson traffic and 3% under strong bursts.
     */
    uint32_t memory_requests;
    /**
     * Part of a full engine's step that is due to those seated, 0 to 0.95; 0 for servers that do
     * not slow each other down. See rampmeter_engine_seats().
     */
    double loaded_share;
    /** GPUs of one replica, 0.001 to 10,000; 0: 1. */
    double gpus_per_replica;
} rampmeter_headroom_options;

/**
 * A number, and between which it lies nine times out of ten; or how much is missing for one. Set
 * `size` before.
 */
typedef struct rampmeter_estimate {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 1: this is known; 0: too few requests were seen to say anything. */
    uint8_t known;
    /** RAMPMETER_BASIS_...: what weighed most in it. */
    uint8_t basis;
    /** 0. */
    uint8_t reserved[2];
    /** The likeliest; 0 and meaningless if it is not known, as the next two. */
    double value;
    /** Lower end: less in one case out of twenty. */
    double low;
    /** Upper end. May be infinite. */
    double high;
    /** Requests that it rests on, or that were seen. */
    uint64_t samples;
    /** Requests that are needed, if it is not known; else 0. */
    uint64_t samples_needed;
} rampmeter_estimate;

/** Whether one replica can be taken away. Set `size` before. */
typedef struct rampmeter_can_remove {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** RAMPMETER_REMOVE_... */
    uint32_t answer;
    /** Requests seen, if that is not enough data; else 0. */
    uint64_t samples;
    /** Requests that are needed, if there is not enough data; else 0. */
    uint64_t samples_needed;
} rampmeter_can_remove;

/** What a desk of headroom knows and did. Set `size` before. */
typedef struct rampmeter_stats_headroom {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Replicas that there are. */
    uint32_t replicas;
    /** Requests that came so far, of all classes. */
    uint64_t arrived;
    /** Requests that ended so far. */
    uint64_t ended;
    /** Requests that wait. */
    uint64_t waiting;
    /** Requests that are being served. */
    uint64_t running;
    /** Requests a second, over the memory. */
    double rate_per_s;
    /** Mean seconds that one takes of a server of a full pool. */
    double service_s;
    /** Squared coefficient of variation of that. */
    double service_scv;
    /** Index of dispersion of arrivals over a service time; 1 where they are independent. */
    double dispersion;
    /** Offered load over capacity. */
    double rho;
} rampmeter_stats_headroom;

/** What a reserve knows. Set `size` before. */
typedef struct rampmeter_stats_reserve {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 0. */
    uint32_t reserved;
    /** Urgent requests that wait. */
    uint64_t waiting;
    /** Urgent requests that run. */
    uint64_t running;
    /** GPUs that there are. */
    double gpus;
    /** Urgent requests that come, a second. */
    double rate_per_s;
    /** How long they run on average, in seconds; 0 before one has ended. */
    double run_s;
    /** GPUs of one on average; 0 before one has come. */
    double request_gpus;
    /** Mean of those that run and wait, by rate and run time. */
    double load;
    /** Standard deviation of those that run and wait, as it is used. */
    double sigma;
    /** GPUs that batch work releases, a second. */
    double released_per_s;
} rampmeter_stats_reserve;

/** A batch job for which there is room. Set all of it to 0, then `size`, then the rest. */
typedef struct rampmeter_batch_job {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Batch jobs that wait, this one included or not. */
    uint32_t waiting;
    /** GPUs that it takes, 0.001 to 1e9. */
    double gpus;
    /** What one second of its delay is worth, 0.0001 to 10,000. */
    double delay_value;
    /** GPUs that are free, 0 to 1e9. */
    double gpus_free;
} rampmeter_batch_job;

/** Whether a batch job waits, and why. Set `size` before. */
typedef struct rampmeter_hold_verdict {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 1: it waits, and so does all batch work behind it, backfill included; 0: it starts. */
    uint8_t hold;
    /** RAMPMETER_HOLD_...: what weighed. */
    uint8_t reason;
    /** 0. */
    uint8_t reserved[2];
    /** Value that urgent work loses a second if it starts. */
    double urgent_price;
    /** Value that batch work loses a second if it waits. */
    double batch_price;
    /** Slots of urgent requests that would be free after it, less those that wait. */
    double slots_left;
    /** Standard deviation of urgent work that runs and waits, in slots. */
    double sigma;
} rampmeter_hold_verdict;

/**
 * How many requests of this shape one engine can serve at once, with at most `seats_max` (1 to
 * 4,096), and how much they slow each other down: rampmeter_headroom_options::seats and
 * rampmeter_headroom_options::loaded_share.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads:
 * any. Since: 0.1.
 */
rampmeter_status rampmeter_engine_seats(const rampmeter_engine *engine,
                                        uint32_t seats_max,
                                        const struct rampmeter_request_shape *shape,
                                        uint32_t *seats,
                                        double *loaded_share,
                                        rampmeter_error *error);

/**
 * Creates a desk without any history, with all the memory that it will ever use.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the
 * caller's, to be given to rampmeter_headroom_destroy(); NULL on failure. `options` is read and not
 * kept. Allocates: yes, rampmeter_headroom_bytes_needed(). Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_headroom_create(const struct rampmeter_headroom_options *options,
                                           struct rampmeter_headroom **out,
                                           rampmeter_error *error);

/**
 * Ends a desk. NULL is allowed and does nothing.
 *
 * Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
 */
void rampmeter_headroom_destroy(struct rampmeter_headroom *headroom);

/**
 * Bytes that a desk with these options takes, to within a few fixed fields.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: a list of the classes, which
 * it frees. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_headroom_bytes_needed(const struct rampmeter_headroom_options *options,
                                                 uint64_t *bytes,
                                                 rampmeter_error *error);

/**
 * Bytes that rampmeter_headroom_save() will write now.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the desk.
 * Since: 0.1.
 */
rampmeter_status rampmeter_headroom_snapshot_bytes(const struct rampmeter_headroom *headroom,
                                                   uint64_t *bytes,
                                                   rampmeter_error *error);

/**
 * Writes all state into `out`; `*written` is its length.
 *
 * Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the desk. Since: 0.1.
 */
rampmeter_status rampmeter_headroom_save(const struct rampmeter_headroom *headroom,
                                         uint8_t *out,
                                         size_t capacity,
                                         size_t *written,
                                         rampmeter_error *error);

/**
 * Creates a desk from `len` bytes that rampmeter_headroom_save() wrote, which are believed in
 * nothing: damaged or forged ones are refused. `options` must be those that it had, but for
 * `replicas`, which comes from the snapshot.
 *
 * Fails: E_SNAPSHOT, and as rampmeter_headroom_create(). Ownership, and so on: as there. Since: 0.1.
 */
rampmeter_status rampmeter_headroom_restore(const struct rampmeter_headroom_options *options,
                                            const uint8_t *bytes,
                                            size_t len,
                                            struct rampmeter_headroom **out,
                                            rampmeter_error *error);

/**
 * A request of a class came in. Say of each what became of it: it started and ended, or it left.
 *
 * Fails: E_TIME_REVERSED, E_RANGE (class), E_POINTER. Allocates: no. Blocks: no. Threads: one at a
 * time for each desk. Since: 0.1.
 */
rampmeter_status rampmeter_headroom_arrived(struct rampmeter_headroom *headroom,
                                            uint64_t now_ns,
                                            uint32_t class_index,
                                            rampmeter_error *error);

/**
 * A request of a class that waited starts; it waited for `waited_ns` in all.
 *
 * Fails: E_TIME_REVERSED, E_RANGE (class, or a wait that began before time did), E_CONTRADICTION
 * (none waits), E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each desk.
 * Since: 0.1.
 */
rampmeter_status rampmeter_headroom_started(struct rampmeter_headroom *headroom,
                                            uint64_t now_ns,
                                            uint32_t class_index,
                                            uint64_t waited_ns,
                                            rampmeter_error *error);

/**
 * A request of a class that was served ended; it ran for `ran_ns` in all.
 *
 * Fails: E_TIME_REVERSED, E_RANGE (class, or a run that began before time did), E_CONTRADICTION
 * (none runs), E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each desk.
 * Since: 0.1.
 */
rampmeter_status rampmeter_headroom_ended(struct rampmeter_headroom *headroom,
                                          uint64_t now_ns,
                                          uint32_t class_index,
                                          uint64_t ran_ns,
                                          rampmeter_error *error);

/**
 * A request of a class that waited is gone: expired, cancelled, or shed. It counts as one that
 * waited until now, `waited_ns` in all.
 *
 * Fails, and so on: as rampmeter_headroom_started(). Since: 0.1.
 */
rampmeter_status rampmeter_headroom_left(struct rampmeter_headroom *headroom,
                                         uint64_t now_ns,
                                         uint32_t class_index,
                                         uint64_t waited_ns,
                                         rampmeter_error *error);

/**
 * Time passed, and it is `now_ns`. Answers of planning are as of the last call with a time: say this
 * before you ask between events, or after the last one, so that silence is seen.
 *
 * Fails: E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each
 * desk. Since: 0.1.
 */
rampmeter_status rampmeter_headroom_passed(struct rampmeter_headroom *headroom,
                                           uint64_t now_ns,
                                           rampmeter_error *error);

/**
 * From now on there are so many replicas, 0 to `replicas_max`. What was learned of the variability
 * of requests stays; waits are observed anew. Takes some tenths of a millisecond.
 *
 * Fails: E_TIME_REVERSED, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each desk. Since: 0.1.
 */
rampmeter_status rampmeter_headroom_set_replicas(struct rampmeter_headroom *headroom,
                                                 uint64_t now_ns,
                                                 uint32_t replicas,
                                                 rampmeter_error *error);

/**
 * The knee: the rate of a class, in requests a second, beyond which more than its `late_ratio_max`
 * wait beyond its target, if all classes grow alike. 0 without replicas. Takes some tenths of a
 * millisecond, as the other answers do.
 *
 * Fails: E_RANGE (class), E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the desk. Since: 0.1.
 */
rampmeter_status rampmeter_headroom_knee(const struct rampmeter_headroom *headroom,
                                         uint32_t class_index,
                                         struct rampmeter_estimate *knee,
                                         rampmeter_error *error);

/**
 * How far a class is from its knee: 1 - rate / knee. 0 at the knee, negative beyond it, 1 where
 * nothing comes, minus infinity without replicas. As of the last call with a time:
 * rampmeter_headroom_passed() first.
 *
 * Fails, and so on: as rampmeter_headroom_knee(). Since: 0.1.
 */
rampmeter_status rampmeter_headroom_ratio(const struct rampmeter_headroom *headroom,
                                          uint32_t class_index,
                                          struct rampmeter_estimate *ratio,
                                          rampmeter_error *error);

/**
 * Share of requests of a class that wait longer than `wait_ns`, at the present load.
 *
 * Fails, and so on: as rampmeter_headroom_knee(). Since: 0.1.
 */
rampmeter_status rampmeter_headroom_wait_tail(const struct rampmeter_headroom *headroom,
                                              uint32_t class_index,
                                              uint64_t wait_ns,
                                              struct rampmeter_estimate *share,
                                              rampmeter_error *error);

/**
 * Fewest replicas that keep every class's target under the present load, all three numbers whole;
 * infinite where not even 65,536 do. As of the last call with a time: rampmeter_headroom_passed()
 * first.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the desk. Since: 0.1.
 */
rampmeter_status rampmeter_headroom_replicas_needed(const struct rampmeter_headroom *headroom,
                                                    struct rampmeter_estimate *replicas,
                                                    rampmeter_error *error);

/**
 * Whether one replica can be taken away. As of the last call with a time:
 * rampmeter_headroom_passed() first.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the desk. Since: 0.1.
 */
rampmeter_status rampmeter_headroom_can_remove(const struct rampmeter_headroom *headroom,
                                               struct rampmeter_can_remove *verdict,
                                               rampmeter_error *error);

/**
 * What a GPU-second of the pool is worth now, in value-seconds: 0 while nobody waits.
 *
 * Fails: E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
 * changes the desk. Since: 0.1.
 */
rampmeter_status rampmeter_headroom_shadow_price(const struct rampmeter_headroom *headroom,
                                                 uint64_t now_ns,
                                                 double *price,
                                                 rampmeter_error *error);

/**
 * What the desk knows and did so far.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the desk. Since: 0.1.
 */
rampmeter_status rampmeter_headroom_stats(const struct rampmeter_headroom *headroom,
                                          struct rampmeter_stats_headroom *stats,
                                          rampmeter_error *error);

/**
 * Creates a reserve for urgent work of this class on a cluster of so many GPUs (0.001 to 1e9), from
 * `now_ns` on.
 *
 * Fails: E_RANGE (class), E_RANGE_REAL, E_DUPLICATE, E_POINTER. Ownership: `*out` is the caller's, to
 * be given to rampmeter_reserve_destroy(); NULL on failure. `policy` is read and not kept.
 * Allocates: yes, less than 300 bytes. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_reserve_create(uint64_t now_ns,
                                          const rampmeter_policy *policy,
                                          uint32_t class_index,
                                          double gpus,
                                          struct rampmeter_reserve **out,
                                          rampmeter_error *error);

/**
 * Ends a reserve. NULL is allowed and does nothing.
 *
 * Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
 */
void rampmeter_reserve_destroy(struct rampmeter_reserve *reserve);

/**
 * Takes a changed policy, and goes on with what is known.
 *
 * Fails: E_RANGE (class), E_RANGE_REAL, E_DUPLICATE, E_POINTER. Allocates: a list of the names of the
 * accounts, which it frees. Blocks: no. Threads: one at a time for each reserve. Since: 0.1.
 */
rampmeter_status rampmeter_reserve_set_policy(struct rampmeter_reserve *reserve,
                                              const rampmeter_policy *policy,
                                              uint32_t class_index,
                                              rampmeter_error *error);

/**
 * From now on there are so many GPUs, 0.001 to 1e9.
 *
 * Fails: E_TIME_REVERSED, E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
 * for each reserve. Since: 0.1.
 */
rampmeter_status rampmeter_reserve_set_gpus(struct rampmeter_reserve *reserve,
                                            uint64_t now_ns,
                                            double gpus,
                                            rampmeter_error *error);

/**
 * An urgent request came that takes so many GPUs, 0.001 to 1e9. Say of each what became of it: it
 * started and ended, or it left.
 *
 * Fails: E_TIME_REVERSED, E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
 * for each reserve. Since: 0.1.
 */
rampmeter_status rampmeter_reserve_arrived(struct rampmeter_reserve *reserve,
                                           uint64_t now_ns,
                                           double gpus,
                                           rampmeter_error *error);

/**
 * An urgent request that waited starts.
 *
 * Fails: E_TIME_REVERSED, E_CONTRADICTION (none waits), E_POINTER. Allocates: no. Blocks: no.
 * Threads: one at a time for each reserve. Since: 0.1.
 */
rampmeter_status rampmeter_reserve_started(struct rampmeter_reserve *reserve,
                                           uint64_t now_ns,
                                           rampmeter_error *error);

/**
 * An urgent request that ran ended; it ran for `ran_ns` in all.
 *
 * Fails: E_TIME_REVERSED, E_RANGE (a run that began before time did), E_CONTRADICTION (none runs),
 * E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each reserve. Since: 0.1.
 */
rampmeter_status rampmeter_reserve_ended(struct rampmeter_reserve *reserve,
                                         uint64_t now_ns,
                                         uint64_t ran_ns,
                                         rampmeter_error *error);

/**
 * An urgent request that waited is gone.
 *
 * Fails, and so on: as rampmeter_reserve_started(). Since: 0.1.
 */
rampmeter_status rampmeter_reserve_left(struct rampmeter_reserve *reserve,
                                        uint64_t now_ns,
                                        rampmeter_error *error);

/**
 * Batch work released so many GPUs, 0 to 1e9.
 *
 * Fails: E_TIME_REVERSED, E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
 * for each reserve. Since: 0.1.
 */
rampmeter_status rampmeter_reserve_released(struct rampmeter_reserve *reserve,
                                            uint64_t now_ns,
                                            double gpus,
                                            rampmeter_error *error);

/**
 * What a reserve knows, as of the last call.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the reserve. Since: 0.1.
 */
rampmeter_status rampmeter_reserve_stats(const struct rampmeter_reserve *reserve,
                                         struct rampmeter_stats_reserve *stats,
                                         rampmeter_error *error);

/**
 * Bytes that rampmeter_reserve_save() will write now.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
 * reserve. Since: 0.1.
 */
rampmeter_status rampmeter_reserve_snapshot_bytes(const struct rampmeter_reserve *reserve,
                                                  uint64_t *bytes,
                                                  rampmeter_error *error);

/**
 * Writes all state into `out`; `*written` is its length.
 *
 * Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the reserve. Since: 0.1.
 */
rampmeter_status rampmeter_reserve_save(const struct rampmeter_reserve *reserve,
                                        uint8_t *out,
                                        size_t capacity,
                                        size_t *written,
                                        rampmeter_error *error);

/**
 * Creates a reserve from `len` bytes that rampmeter_reserve_save() wrote. `policy` and class are
 * those that it had, or changed ones.
 *
 * Fails: E_SNAPSHOT, and as rampmeter_reserve_create(). Ownership, and so on: as there. Since: 0.1.
 */
rampmeter_status rampmeter_reserve_restore(const rampmeter_policy *policy,
                                           uint32_t class_index,
                                           const uint8_t *bytes,
                                           size_t len,
                                           struct rampmeter_reserve **out,
                                           rampmeter_error *error);

/**
 * Whether this batch job, the one at the head of its queue, waits now. If it does, stop backfill of
 * batch work as well, and ask again when something ends, comes or starts. Urgent work is never asked
 * about.
 *
 * Fails: E_TIME_REVERSED, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no.
 * Threads: any number, while nobody changes the reserve. Since: 0.1.
 */
rampmeter_status rampmeter_reserve_hold(const struct rampmeter_reserve *reserve,
                                        uint64_t now_ns,
                                        const struct rampmeter_batch_job *job,
                                        struct rampmeter_hold_verdict *verdict,
                                        rampmeter_error *error);

/**
 * Creates a price of so many GPUs, 0 to 1e12, from `now_ns` on.
 *
 * Fails: E_RANGE_REAL, E_POINTER. Ownership: `*out` is the caller's, to be given to
 * rampmeter_shadow_price_destroy(); NULL on failure. Allocates: yes, less than 100 bytes. Blocks: no.
 * Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_shadow_price_create(uint64_t now_ns,
                                               double gpus,
                                               struct rampmeter_shadow_price **out,
                                               rampmeter_error *error);

/**
 * Ends a price. NULL is allowed and does nothing.
 *
 * Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
 */
void rampmeter_shadow_price_destroy(struct rampmeter_shadow_price *shadow_price);

/**
 * From now on there are so many GPUs, 0 to 1e12.
 *
 * Fails: E_TIME_REVERSED, E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
 * for each price. Since: 0.1.
 */
rampmeter_status rampmeter_shadow_price_set_gpus(struct rampmeter_shadow_price *shadow_price,
                                                 uint64_t now_ns,
                                                 double gpus,
                                                 rampmeter_error *error);

/**
 * From now on requests wait whose delay values add up to `value`, 0 to 1e12.
 *
 * Fails, and so on: as rampmeter_shadow_price_set_gpus(). Since: 0.1.
 */
rampmeter_status rampmeter_shadow_price_waiting(struct rampmeter_shadow_price *shadow_price,
                                                uint64_t now_ns,
                                                double value,
                                                rampmeter_error *error);

/**
 * Work of so many GPU-seconds came in, 0 to 1e12.
 *
 * Fails, and so on: as rampmeter_shadow_price_set_gpus(). Since: 0.1.
 */
rampmeter_status rampmeter_shadow_price_offered(struct rampmeter_shadow_price *shadow_price,
                                                uint64_t now_ns,
                                                double gpu_seconds,
                                                rampmeter_error *error);

/**
 * The price at `now_ns`, in value-seconds a GPU-second, into `*price`, and the offered work over what
 * all GPUs can do, as of the last call that changed something, into `*rho`. The price is 0 without
 * GPUs: none can be lost.
 *
 * Fails: E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
 * changes the price. Since: 0.1.
 */
rampmeter_status rampmeter_shadow_price_price(const struct rampmeter_shadow_price *shadow_price,
                                              uint64_t now_ns,
                                              double *price,
                                              double *rho,
                                              rampmeter_error *error);

/* ================================================================================================
 * Ledger: who deserves it
 *
 * One tree of accounts, and about each of them what the host asks for: whose request is next
 * (counters), what an account may have and holds (quotas), how much of a cluster is whose
 * (division), who needs its next task most (dominant shares) or borrowed most, who may take from
 * whom (reclaim), who used least in the past (history), what may come in yet (rates). Each part
 * takes memory only where the options ask for it; a call about one that is not there is answered
 * with E_RANGE. The handle of an account is the same in all parts, and its low 32 bits,
 * `(uint32_t)account`, are its place in arrays over all accounts. A batcher has a ledger of its own:
 * this one is for routers, cluster schedulers and batch systems. `docs/policies/share.md` says how
 * it decides.
 */

/** Kinds of resource that a ledger can have. */
#define RAMPMETER_RESOURCES_MAX 8

/** In place of the number of a resource: none. */
#define RAMPMETER_RESOURCE_NONE UINT32_MAX

/** In place of an amount: as much as there is. */
#define RAMPMETER_UNLIMITED UINT64_MAX

/**
 * In place of a limit, a lending limit or a budget, where 0 means that there is none: nothing at
 * all.
 */
#define RAMPMETER_NOTHING 18446744073709551614ull

/**
 * rampmeter_level::excess: everybody keeps its guarantee, and the sum of shares exceeds the total.
 */
#define RAMPMETER_EXCESS_KEEP 0

/** rampmeter_level::excess: the total is divided in proportion to the guarantees. */
#define RAMPMETER_EXCESS_CUT 1

/** By what right an account takes: it may not. */
#define RAMPMETER_BASIS_NONE 0

/** It is guaranteed what it takes. */
#define RAMPMETER_BASIS_QUOTA 1

/** What it takes is part of its fair share. */
#define RAMPMETER_BASIS_FAIR_SHARE 2

/** Why a job may not be taken: it may. */
#define RAMPMETER_REFUSAL_NONE 0

/** One of the accounts is the other, or stands above it. */
#define RAMPMETER_REFUSAL_SAME_BRANCH 1

/** The job has nothing of what is missing. */
#define RAMPMETER_REFUSAL_NOTHING_WANTED 2

/** The reclaimer, or an account above it, would exceed what it is entitled to. */
#define RAMPMETER_REFUSAL_RECLAIMER_OVER 3

/**
 * The victim, or an account above it, holds no more than it is entitled to (or guaranteed, where
 * the reclaimer goes by that).
 */
#define RAMPMETER_REFUSAL_VICTIM_WITHIN 4

/**
 * The victim holds no more than it is entitled to, and the job would leave it, or an account above
 * it, less than it is guaranteed.
 */
#define RAMPMETER_REFUSAL_VICTIM_GUARANTEE 5

/** The job has not run for its least time. */
#define RAMPMETER_REFUSAL_MIN_RUNTIME 6

/** So much work may not be lost now. */
#define RAMPMETER_REFUSAL_BUDGET 7

/** What an account should use next to its siblings: as many shares as its weight. */
#define RAMPMETER_SHARES_WEIGHT 0

/** A number of shares: 0 (it comes last), or 0.001 to 2^31. */
#define RAMPMETER_SHARES_NUMBER 1

/** Those of its parent: its children share with its siblings. */
#define RAMPMETER_SHARES_PARENT 2

/** Level by level: no user of an account goes before any of a sibling that used less. */
#define RAMPMETER_RANKING_FAIR_TREE 0

/** Usage over shares, all levels in one number. */
#define RAMPMETER_RANKING_CLASSIC 1

/** Which limit holds a request up: none. */
#define RAMPMETER_RATE_WITHIN 0

/** Requests per minute. */
#define RAMPMETER_RATE_REQUESTS 1

/** Tokens per minute. */
#define RAMPMETER_RATE_TOKENS 2

/**
 * The accounts, and what is kept about them. One thread at a time may change it; calls with a
 * `const` pointer may run side by side.
 */
typedef struct rampmeter_ledger rampmeter_ledger;

/**
 * Size of a ledger, and which parts it has. Set all of it to 0, then `size`, then what is wanted:
 * what is 0 is not there.
 */
typedef struct rampmeter_ledger_options {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Accounts that may be open at once, those with children included, up to 2^24; 0: 1,024. */
    uint32_t accounts_max;
    /**
     * Lanes of counters, up to 64: sets of queues that compete with each other, such as classes.
     */
    uint32_t lanes;
    /** Kinds of resource that accounts hold, up to RAMPMETER_RESOURCES_MAX. */
    uint32_t resources;
    /** Other ledgers that this one exchanges service with, up to 255. */
    uint32_t replicas_max;
    /** 1: it keeps whose turn it is by dominant shares. */
    uint8_t dominant;
    /** 1: it keeps who borrowed how much of the quotas. */
    uint8_t borrowing;
    /** 1: it limits requests and tokens per minute. */
    uint8_t rates;
    /** 1: accounts have names. */
    uint8_t names;
    /** Half-life of past usage; 0: no history is kept. */
    uint64_t half_life_ns;
} rampmeter_ledger_options;

/** How full a ledger is. Set `size` before. */
typedef struct rampmeter_stats_ledger {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Accounts open. */
    uint32_t accounts;
    /** Accounts that may be open at once. */
    uint32_t accounts_max;
    /** 1: an account has a limit of requests or tokens per minute. */
    uint32_t has_rate_limits;
} rampmeter_stats_ledger;

/** An account as the tree has it. Set `size` before. */
typedef struct rampmeter_account {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Its place in arrays over all accounts: the low 32 bits of its handle. */
    uint32_t index;
    /** The account above; 0: it stands at the top. */
    uint64_t parent;
    /** Its weight next to its siblings. */
    double weight;
    /** Levels from the top, which is 1. */
    uint32_t depth;
    /** Accounts directly below it. */
    uint32_t children;
    /** 0. */
    uint64_t reserved;
} rampmeter_account;

/** An account whose turn it is. */
typedef struct rampmeter_eligible {
    /** The account. */
    uint64_t account;
    /** Its weighted service. */
    double counter;
} rampmeter_eligible;

/** How far an account is ahead of those it competes with. Set `size` before. */
typedef struct rampmeter_lead {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 0. */
    uint32_t reserved;
    /** Its counter, or that of an account above, at the level where it is most ahead. */
    double counter;
    /** The smallest counter of those that wait there; its own where nobody does. */
    double counter_min;
    /** Requests of its own that wait. */
    uint32_t waiting;
    /** 0. */
    uint32_t reserved_2;
} rampmeter_lead;

/**
 * One of two accounts where they compete: what it is part of, or is, below the lowest account
 * above both.
 */
typedef struct rampmeter_rival {
    /** Its counter there. */
    double counter;
    /** Its weight there. */
    double weight;
} rampmeter_rival;

/**
 * An amount of each resource, in the smallest unit of each (milli-GPU, MiB...), at most 2^62; 0
 * for resources that are not there.
 */
typedef struct rampmeter_amounts {
    /** By number of the resource. */
    uint64_t of[RAMPMETER_RESOURCES_MAX];
} rampmeter_amounts;

/**
 * What an account may have of each resource. Set all of it to 0, then `size`, then what is known.
 */
typedef struct rampmeter_quota {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Siblings of a higher priority take what is left over before others. */
    int32_t over_quota_priority;
    /**
     * Guaranteed: its own before anything is divided; RAMPMETER_UNLIMITED: all that it asks for.
     */
    struct rampmeter_amounts quota;
    /** The most that it may have; 0: no limit; RAMPMETER_NOTHING: it may have none. */
    struct rampmeter_amounts limit;
    /**
     * The most of its quota that others may use while it does not; 0: all; RAMPMETER_NOTHING:
     * none.
     */
    struct rampmeter_amounts lending_limit;
    /**
     * Its part of what is left over next to its siblings, up to 10^12; 0: 1; RAMPMETER_ZERO:
     * nothing beyond its quota.
     */
    double over_quota_weight[RAMPMETER_RESOURCES_MAX];
    /** Must be 0. */
    uint64_t reserved;
} rampmeter_quota;

/** What an account has of each resource, everybody below it included. Set `size` before. */
typedef struct rampmeter_holding {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 0. */
    uint32_t reserved;
    /** What they hold. */
    struct rampmeter_amounts held;
    /** What they ask for beyond that. */
    struct rampmeter_amounts asked;
    /** What they get of the capacity as it was last divided. */
    struct rampmeter_amounts fair_share;
    /** What there is to divide among all. */
    struct rampmeter_amounts capacity;
} rampmeter_holding;

/** How a ledger divides its capacity. Set all of it to 0, then `size`, then what is known. */
typedef struct rampmeter_division {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Elements of `usage`. */
    uint32_t usage_len;
    /**
     * How much past usage above an account's share takes from its part, up to 10^6; 0: the past
     * does not count.
     */
    double usage_weight;
    /** For each resource, what shares beyond guarantees are whole multiples of; 0: 1. */
    struct rampmeter_amounts units;
    /**
     * rampmeter_ledger_divide(): what each account with everybody below it held on average in the
     * past, a row of all resources for each place below `accounts_max`. Not read if `usage_weight`
     * is 0.
     */
    const double *usage;
    /**
     * rampmeter_ledger_divide_by_history(): what would be recorded of one second in which all of
     * the capacity is in use, 2^-62 to 2^62, such as 64 where GPU seconds are recorded of 64 GPUs.
     */
    double usage_per_s_max;
} rampmeter_division;

/** What a fair share of one resource is made of. */
typedef struct rampmeter_share_parts {
    /** What the account and everybody below it hold and ask for. */
    uint64_t wanted;
    /** As much of that as its limit, and those below it, let be served. */
    uint64_t request;
    /** As much of the request as its quota guarantees. */
    uint64_t guaranteed;
    /** Its fair share. */
    uint64_t share;
} rampmeter_share_parts;

/** What is divided among siblings. Set all of it to 0, then `size`, then what is known. */
typedef struct rampmeter_level {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** RAMPMETER_EXCESS_...: what happens when guarantees exceed the total. */
    uint32_t excess;
    /** The amount to divide. */
    uint64_t total;
    /** Beyond guarantees shares are whole multiples of this; 0: 1. */
    uint64_t unit;
    /** As rampmeter_division::usage_weight. */
    double usage_weight;
    /** Must be 0. */
    uint64_t reserved;
} rampmeter_level;

/**
 * One of the siblings that one resource is divided among. Everything in it is meant as it stands:
 * 0 is no default here.
 */
typedef struct rampmeter_claim {
    /** Names it, and decides the last ties; unique among the siblings. */
    uint32_t id;
    /** Siblings of a higher priority take what is left over before others. */
    int32_t over_quota_priority;
    /** Guaranteed; RAMPMETER_UNLIMITED: all that it asks for. */
    uint64_t quota;
    /** The most that it may have; RAMPMETER_UNLIMITED: no limit. */
    uint64_t limit;
    /** What it holds and asks for. */
    uint64_t request;
    /** Its part of what is left over, 0 to 10^12; 0: nothing beyond its quota. */
    double over_quota_weight;
    /** Past usage as a part of the total: 1 for one that had all of it. Not below 0. */
    double usage;
    /** When it was opened, in any order that grows: the oldest takes the remainder first. */
    uint64_t opened_at;
    /** The answer. */
    uint64_t share;
    /** Room to work in; what stands there means nothing. */
    uint64_t scratch[4];
} rampmeter_claim;

/** The largest share of an account, and of what. */
typedef struct rampmeter_dominant {
    /** 0 if it holds nothing. */
    double share;
    /** The first resource with that share; RAMPMETER_RESOURCE_NONE if it holds nothing. */
    uint32_t resource;
    /** 0. */
    uint32_t reserved;
} rampmeter_dominant;

/** What an account holds, everybody below it included, as shares. Set `size` before. */
typedef struct rampmeter_dominance {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Resources, so many of `shares`. */
    uint32_t shares_len;
    /** The largest share of the capacity, divided by the weight of the account. */
    struct rampmeter_dominant weighted;
    /**
     * The largest share of what it is entitled to: its quota, else its limit, else the capacity.
     * Over 1 where it holds more.
     */
    struct rampmeter_dominant entitled;
    /** The level by which it competes with its siblings; 0 in a ledger that keeps no turns. */
    double level;
    /** The shares of the capacity, the largest first; weights do not count. */
    double shares[RAMPMETER_RESOURCES_MAX];
    /** 0. */
    uint64_t reserved;
} rampmeter_dominance;

/** How much an account has borrowed of what others lend. */
typedef struct rampmeter_borrowed {
    /**
     * The largest part of what can be borrowed, in thousandths, rounded up, divided by the weight;
     * 0: it has borrowed nothing.
     */
    uint64_t permille;
    /** The first resource with that part; RAMPMETER_RESOURCE_NONE if nothing is borrowed. */
    uint32_t resource;
    /** 1: something is borrowed. */
    uint32_t borrowing;
} rampmeter_borrowed;

/**
 * How an account, with everybody below it, is protected from reclaim. Set all of it to 0, then
 * `size`, then what is known.
 */
typedef struct rampmeter_reclaim_limits {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 1: `min_runtime_ns` is meant, even if it is 0; 0: it is that of the account above. */
    uint8_t min_runtime_known;
    /** Must be 0. */
    uint8_t reserved[3];
    /** Jobs that have run for less are left alone. */
    uint64_t min_runtime_ns;
    /**
     * The most work that may be lost at once, and again in each window, in unit-seconds of each
     * resource; 0: any; RAMPMETER_NOTHING: none.
     */
    struct rampmeter_amounts loss_budget;
    /** The time in which the whole budget comes back; 0: an hour. */
    uint64_t loss_window_ns;
} rampmeter_reclaim_limits;

/**
 * What somebody wants who cannot have it from what is free. Set all of it to 0, then `size`, then
 * what is known.
 */
typedef struct rampmeter_reclamation {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Must be 0. */
    uint32_t reserved;
    /** Who wants it. */
    uint64_t reclaimer;
    /** All that it would hold more than now. */
    struct rampmeter_amounts amounts;
    /** The part of `amounts` that others must give up; the rest is free. */
    struct rampmeter_amounts missing;
} rampmeter_reclamation;

/** How far up a reclaimer may look for victims. Set `size` before. */
typedef struct rampmeter_reclaim_scope {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 1: everybody would be within what they are entitled to, up to the top. */
    uint8_t fits;
    /** 1: `quota_depth` is meant; 0: the reclaimer would exceed what it is guaranteed. */
    uint8_t reaches_by_quota;
    /** 1: `share_depth` is meant; 0: it would exceed what it is entitled to. */
    uint8_t reaches_by_share;
    /** 0. */
    uint8_t reserved;
    /**
     * Depth of the highest account above the reclaimer below which all would be within what they
     * are guaranteed; 0: everybody is in reach.
     */
    uint32_t quota_depth;
    /** The same for what they are entitled to. */
    uint32_t share_depth;
    /**
     * The first account, from the reclaimer upwards, that would exceed what it is entitled to; 0:
     * none.
     */
    uint64_t over_account;
    /** What it would hold. */
    uint64_t over_held;
    /** What it is entitled to. */
    uint64_t over_entitled;
    /** Of which resource; RAMPMETER_RESOURCE_NONE: none. */
    uint32_t over_resource;
    /** 0. */
    uint32_t reserved_2;
} rampmeter_reclaim_scope;

/**
 * A running job, or the smallest part of one that can be ended alone. Set all of it to 0, then
 * `size`, then what is known.
 */
typedef struct rampmeter_running_job {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Must be 0. */
    uint32_t reserved;
    /** The account that itself holds what the job runs on. */
    uint64_t account;
    /** What it runs on. */
    struct rampmeter_amounts amounts;
    /** When it began to run. */
    uint64_t started_ns;
    /** From when on its work would be lost: its last checkpoint; 0: since it began. */
    uint64_t saved_ns;
} rampmeter_running_job;

/** Whether a job may be taken, or why not. Set `size` before. */
typedef struct rampmeter_verdict {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** RAMPMETER_BASIS_...: by what right it may be taken; RAMPMETER_BASIS_NONE: it may not. */
    uint8_t basis;
    /** RAMPMETER_REFUSAL_...: why not. */
    uint8_t refusal;
    /** 0. */
    uint8_t reserved[2];
    /** Whose share, guarantee, least run time or budget is against it; 0: nobody's. */
    uint64_t account;
    /** What that account holds or would hold, where that is the reason. */
    uint64_t held;
    /** What that is compared with; RAMPMETER_UNLIMITED: anything. */
    uint64_t entitled;
    /**
     * From when on the least run time or the budget is no longer against it; RAMPMETER_NEVER: the
     * job loses more than the whole budget.
     */
    uint64_t until_ns;
    /** Of which resource; RAMPMETER_RESOURCE_NONE: none. */
    uint32_t resource;
    /** 0. */
    uint32_t reserved_2;
    /**
     * If it may: how far the victim's account then is below what it is entitled to, because a job
     * cannot be divided.
     */
    struct rampmeter_amounts below;
} rampmeter_verdict;

/** A user in its place. */
typedef struct rampmeter_ranked {
    /** The user: an account with none below it. */
    uint64_t account;
    /** 0 to 1; 1 goes first. */
    double factor;
    /** 1 and up; ties share one. */
    uint32_t rank;
    /** Means nothing. */
    uint32_t reserved;
} rampmeter_ranked;

/** Where an account stands, and what follows from what: the columns of `sshare -l`. */
typedef struct rampmeter_standing {
    /** Shares as they were set, with RAMPMETER_SHARES_NUMBER; else 0. */
    double shares;
    /** Classic: its part of everything. Fair Tree: its part of its level. */
    double shares_norm;
    /** Usage as it counts now, in the host's unit. */
    double usage;
    /** Its part of the usage of all; 0 while there is none. */
    double usage_norm;
    /** Classic: effective usage. Fair Tree: its part of the usage of its level. */
    double usage_effective;
    /** Above 1: it used less than its share of its level. 0 where `has_level_fs` is 0. */
    double level_fs;
    /** 0 to 1; 1 goes first. 0 where `has_factor` is 0. */
    double factor;
    /** RAMPMETER_SHARES_... */
    uint32_t shares_kind;
    /** 1 and up among all users, ties share one; 0: it has accounts below it. */
    uint32_t rank;
    /** Users in the ledger. */
    uint32_t users;
    /** 1: `level_fs` is known; 0: its children share with its siblings in its place. */
    uint8_t has_level_fs;
    /** 1: `factor` is known; 0: in Fair Tree accounts with others below have none. */
    uint8_t has_factor;
    /** Mean nothing. */
    uint8_t reserved[26];
} rampmeter_standing;

/** Whether a request is within the limits of its account and of all above it. */
typedef struct rampmeter_rate_decision {
    /** Whose limit holds it up longest; 0: it is within all. */
    uint64_t account;
    /** In how long it is within all of them, exactly, if nobody takes before. */
    uint64_t retry_after_ns;
    /** RAMPMETER_RATE_... */
    uint32_t limit;
    /** 0. */
    uint32_t reserved;
} rampmeter_rate_decision;

/**
 * The parts that a policy says something about: its `limits.accounts_max` accounts with names, a
 * lane for each class, its resources with all that is kept of them, its half-life, rates if an
 * account has one, and its `limits.replicas_max` others.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_policy_options(const rampmeter_policy *policy,
                                                 struct rampmeter_ledger_options *options,
                                                 rampmeter_error *error);

/**
 * Creates a ledger without accounts, with all the memory that it will ever use.
 *
 * Fails: E_RANGE, E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the caller's, to be
 * given to rampmeter_ledger_destroy(); NULL on failure. Allocates: yes, rampmeter_ledger_bytes_needed().
 * Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_create(const struct rampmeter_ledger_options *options,
                                         struct rampmeter_ledger **out,
                                         rampmeter_error *error);

/**
 * Creates a ledger with the accounts of a policy open, each with its weight, and as far as the
 * options have room for them with its name, its quota, its rates and the key of its names.
 * rampmeter_ledger_at_path() has their handles.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_FULL (more accounts than `accounts_max`), E_DUPLICATE,
 * E_CONTRADICTION (other resources than the policy has), E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership,
 * and so on: as rampmeter_ledger_create(); `policy` is read and not kept. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_create_from_policy(const rampmeter_policy *policy,
                                                     const struct rampmeter_ledger_options *options,
                                                     struct rampmeter_ledger **out,
                                                     rampmeter_error *error);

/**
 * Ends a ledger. NULL is allowed and does nothing.
 *
 * Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
 */
void rampmeter_ledger_destroy(struct rampmeter_ledger *ledger);

/**
 * Bytes that a ledger of this size takes, to within a few fixed fields. The options need not be in
 * their ranges.
 *
 * Fails: E_SIZE, E_TOO_NEW, E_RANGE (a flag), E_POINTER. Allocates: no. Blocks: no. Threads: any.
 * Since: 0.1.
 */
rampmeter_status rampmeter_ledger_bytes_needed(const struct rampmeter_ledger_options *options,
                                               uint64_t *bytes,
                                               rampmeter_error *error);

/**
 * Size and parts of a ledger, as it was made.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_options_of(const struct rampmeter_ledger *ledger,
                                             struct rampmeter_ledger_options *options,
                                             rampmeter_error *error);

/**
 * How full a ledger is.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_stats(const struct rampmeter_ledger *ledger,
                                        struct rampmeter_stats_ledger *stats,
                                        rampmeter_error *error);

/**
 * Bytes that rampmeter_ledger_save() will write now.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
 * ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_snapshot_bytes(const struct rampmeter_ledger *ledger,
                                                 uint64_t *bytes,
                                                 rampmeter_error *error);

/**
 * Writes all state into `out`; `*written` is its length. Handles of accounts stay good in what is
 * restored from it.
 *
 * Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_save(const struct rampmeter_ledger *ledger,
                                       uint8_t *out,
                                       size_t capacity,
                                       size_t *written,
                                       rampmeter_error *error);

/**
 * Creates a ledger from `len` bytes that rampmeter_ledger_save() wrote, which are believed in
 * nothing: damaged or forged ones are refused. `options` must be those that it had.
 *
 * Fails: E_SNAPSHOT, and as rampmeter_ledger_create(). Ownership, and so on: as there. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_restore(const struct rampmeter_ledger_options *options,
                                          const uint8_t *bytes,
                                          size_t len,
                                          struct rampmeter_ledger **out,
                                          rampmeter_error *error);

/**
 * Opens an account below `parent` (0: at the top), without name, quota or limit.
 *
 * Fails: E_STALE (parent), E_RANGE_REAL (weight, 0.001 to 1000), E_RANGE (more than 8 levels),
 * E_FULL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each ledger. Since:
 * 0.1.
 */
rampmeter_status rampmeter_ledger_open(struct rampmeter_ledger *ledger,
                                       uint64_t parent,
                                       double weight,
                                       uint64_t *account,
                                       rampmeter_error *error);

/**
 * Closes an account that has none below it, waits nowhere, and neither holds nor asks for
 * anything.
 *
 * Fails: E_STALE, E_CONTRADICTION, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
 * for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_close(struct rampmeter_ledger *ledger,
                                        uint64_t account,
                                        rampmeter_error *error);

/**
 * Gives an account another weight, for all service from now on.
 *
 * Fails: E_STALE, E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_set_weight(struct rampmeter_ledger *ledger,
                                             uint64_t account,
                                             double weight,
                                             rampmeter_error *error);

/**
 * An account as the tree has it.
 *
 * Fails: E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
 * changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_account(const struct rampmeter_ledger *ledger,
                                          uint64_t account,
                                          struct rampmeter_account *known,
                                          rampmeter_error *error);

/**
 * The account with this place in arrays over all accounts; `*account` is 0 if none has it.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
 * ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_account_at(const struct rampmeter_ledger *ledger,
                                             uint32_t index,
                                             uint64_t *account,
                                             rampmeter_error *error);

/**
 * Names an account, or names it anew: up to 128 bytes without `/` and control characters, unique
 * among its siblings.
 *
 * Fails: E_STALE, E_RANGE (the name, or a ledger without names), E_DUPLICATE, E_TEXT, E_POINTER.
 * Allocates: no. Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_set_name(struct rampmeter_ledger *ledger,
                                           uint64_t account,
                                           const char *account_name,
                                           rampmeter_error *error);

/**
 * Writes the name of an account into `out`, closed by a zero, and its length without that zero
 * into `*len`; empty if it has none. With `capacity` 0 it only says how long it is.
 *
 * Fails: E_STALE, E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number,
 * while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_name(const struct rampmeter_ledger *ledger,
                                       uint64_t account,
                                       char *out,
                                       size_t capacity,
                                       size_t *len,
                                       rampmeter_error *error);

/**
 * The account of this name directly below `parent` (0: at the top); `*account` is 0 if there is
 * none.
 *
 * Fails: E_TEXT, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_named(const struct rampmeter_ledger *ledger,
                                        uint64_t parent,
                                        const char *account_name,
                                        uint64_t *account,
                                        rampmeter_error *error);

/**
 * The account at the end of a path of names, such as "org/team/user"; `*account` is 0 if there is
 * none.
 *
 * Fails: E_TEXT, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_at_path(const struct rampmeter_ledger *ledger,
                                          const char *path,
                                          uint64_t *account,
                                          rampmeter_error *error);

/**
 * One more request of an account waits in a lane.
 *
 * Fails: E_STALE, E_RANGE (lane), E_FULL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a
 * time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_arrive(struct rampmeter_ledger *ledger,
                                         uint32_t lane,
                                         uint64_t account,
                                         rampmeter_error *error);

/**
 * One request of an account waits no longer: it runs, or was taken back.
 *
 * Fails: E_STALE, E_RANGE (lane, or none was waiting), E_POINTER. Allocates: no. Blocks: no.
 * Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_depart(struct rampmeter_ledger *ledger,
                                         uint32_t lane,
                                         uint64_t account,
                                         rampmeter_error *error);

/**
 * Charges service to an account and everybody above it: prompt tokens, or any unit that is the
 * same for all.
 *
 * Fails: E_STALE, E_RANGE (lane), E_RANGE_REAL (cost, 0 to 2^53), E_POINTER. Allocates: no.
 * Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_charge(struct rampmeter_ledger *ledger,
                                         uint32_t lane,
                                         uint64_t account,
                                         double cost,
                                         rampmeter_error *error);

/**
 * Weighted service of an account and everybody below it in a lane.
 *
 * Fails: E_STALE, E_RANGE (lane), E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_counter(const struct rampmeter_ledger *ledger,
                                          uint32_t lane,
                                          uint64_t account,
                                          double *counter,
                                          rampmeter_error *error);

/**
 * The smallest counter among the accounts at the top of which somebody waits in a lane; `*is_any`
 * is 0, and the counter 0, when nobody waits.
 *
 * Fails: E_RANGE (lane), E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
 * changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_counter_min(const struct rampmeter_ledger *ledger,
                                              uint32_t lane,
                                              double *counter,
                                              uint8_t *is_any,
                                              rampmeter_error *error);

/**
 * The accounts with requests of their own in a lane whose turn it is within `credit`; 0: those
 * with the smallest counters. `*len` is how many there are, of which the first `capacity` are
 * written; their order means nothing.
 *
 * Fails: E_RANGE (lane), E_RANGE_REAL (credit, 0 to 2^53), E_POINTER. Allocates: no. Blocks: no.
 * Threads: any number, while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_eligible(const struct rampmeter_ledger *ledger,
                                           uint32_t lane,
                                           double credit,
                                           struct rampmeter_eligible *eligible,
                                           size_t capacity,
                                           size_t *len,
                                           rampmeter_error *error);

/**
 * How far an account is ahead of the smallest counter: its turn is within a credit that is at
 * least that.
 *
 * Fails: E_STALE, E_RANGE (lane), E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any
 * number, while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_lead(const struct rampmeter_ledger *ledger,
                                       uint32_t lane,
                                       uint64_t account,
                                       struct rampmeter_lead *lead,
                                       rampmeter_error *error);

/**
 * Two accounts where they compete.
 *
 * Fails: E_STALE, E_RANGE (lane), E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_rivals(const struct rampmeter_ledger *ledger,
                                         uint32_t lane,
                                         uint64_t account,
                                         uint64_t other,
                                         struct rampmeter_rival *one,
                                         struct rampmeter_rival *another,
                                         rampmeter_error *error);

/**
 * Says how much there is to divide.
 *
 * Fails: E_RANGE (over 2^62, or a resource that is not there), E_POINTER. Allocates: no. Blocks:
 * no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_set_capacity(struct rampmeter_ledger *ledger,
                                               const struct rampmeter_amounts *capacity,
                                               rampmeter_error *error);

/**
 * Says what an account may have from now on; what it holds it keeps.
 *
 * Fails: E_STALE, E_RANGE, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no.
 * Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_set_quota(struct rampmeter_ledger *ledger,
                                            uint64_t account,
                                            const struct rampmeter_quota *quota,
                                            rampmeter_error *error);

/**
 * What an account may have, as rampmeter_ledger_set_quota() takes it.
 *
 * Fails: E_STALE, E_RANGE (no resources), E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads:
 * any number, while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_quota(const struct rampmeter_ledger *ledger,
                                        uint64_t account,
                                        struct rampmeter_quota *quota,
                                        rampmeter_error *error);

/**
 * The first account, from this one upwards, that would hold more than its limit if this one held
 * so much more; `*over` is 0 if nobody would.
 *
 * Fails: E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_first_over_limit(const struct rampmeter_ledger *ledger,
                                                   uint64_t account,
                                                   const struct rampmeter_amounts *given,
                                                   uint64_t *over,
                                                   rampmeter_error *error);

/**
 * The account asks for so much more than it holds.
 *
 * Fails: E_STALE, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each
 * ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_ask(struct rampmeter_ledger *ledger,
                                      uint64_t account,
                                      const struct rampmeter_amounts *given,
                                      rampmeter_error *error);

/**
 * The account no longer asks for so much: it was given, or is not wanted any more.
 *
 * Fails: E_STALE, E_RANGE (more than the account itself asked for), E_POINTER. Allocates: no.
 * Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_withdraw(struct rampmeter_ledger *ledger,
                                           uint64_t account,
                                           const struct rampmeter_amounts *given,
                                           rampmeter_error *error);

/**
 * The account holds so much more. Whether it may is asked first, by rampmeter_ledger_may_reclaim()
 * or rampmeter_ledger_first_over_limit(): what really happened is not refused.
 *
 * Fails: E_STALE, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each
 * ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_allocate(struct rampmeter_ledger *ledger,
                                           uint64_t account,
                                           const struct rampmeter_amounts *given,
                                           rampmeter_error *error);

/**
 * The account holds so much less.
 *
 * Fails: E_STALE, E_RANGE (more than the account itself holds), E_POINTER. Allocates: no. Blocks:
 * no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_release(struct rampmeter_ledger *ledger,
                                          uint64_t account,
                                          const struct rampmeter_amounts *given,
                                          rampmeter_error *error);

/**
 * What an account and everybody below it hold, ask for, and got when the capacity was last
 * divided.
 *
 * Fails: E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
 * changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_holding(const struct rampmeter_ledger *ledger,
                                          uint64_t account,
                                          struct rampmeter_holding *holding,
                                          rampmeter_error *error);

/**
 * Divides the capacity among all accounts: rampmeter_ledger_holding() answers by it from now on.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_BUFFER_TOO_SMALL (fewer than `accounts_max` rows of usage),
 * E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each ledger.
 * Since: 0.1.
 */
rampmeter_status rampmeter_ledger_divide(struct rampmeter_ledger *ledger,
                                         const struct rampmeter_division *division,
                                         rampmeter_error *error);

/**
 * The same with past usage out of the history that the ledger keeps, as it counts at `now_ns`.
 *
 * Fails: E_TIME_REVERSED, E_RANGE, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no.
 * Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_divide_by_history(struct rampmeter_ledger *ledger,
                                                    uint64_t now_ns,
                                                    const struct rampmeter_division *division,
                                                    rampmeter_error *error);

/**
 * What the fair share of every account is made of, of one resource: written to `parts` at the
 * place of each open account, of which there are `accounts_max`. Belongs to the last division as
 * long as nothing but time has passed since.
 *
 * Fails: E_RANGE, E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
 * for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_share_parts(struct rampmeter_ledger *ledger,
                                              uint32_t resource,
                                              struct rampmeter_share_parts *parts,
                                              size_t capacity,
                                              rampmeter_error *error);

/**
 * Divides one resource among siblings, without a ledger: `share` of every claim is set, the claims
 * are put in order of `id`, and `*left` is what nobody wants or may have.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads:
 * any. Since: 0.1.
 */
rampmeter_status rampmeter_divide_level(const struct rampmeter_level *level,
                                        struct rampmeter_claim *claims,
                                        size_t len,
                                        uint64_t *left,
                                        rampmeter_error *error);

/**
 * What an account holds, as shares.
 *
 * Fails: E_STALE, E_RANGE (no resources), E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads:
 * any number, while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_dominance(const struct rampmeter_ledger *ledger,
                                            uint64_t account,
                                            struct rampmeter_dominance *dominance,
                                            rampmeter_error *error);

/**
 * Compares two lists of at most RAMPMETER_RESOURCES_MAX shares, in any order: their largest, then
 * their second, and so on. `*order` is -1 where the first list has less, 1 where it has more, else
 * 0; `*ratio` is how many times as large its largest is as that of the other.
 *
 * Fails: E_BUFFER_TOO_SMALL (more than so many), E_RANGE_REAL (not a number), E_POINTER.
 * Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_compare_shares(const double *shares,
                                          size_t shares_len,
                                          const double *other,
                                          size_t other_len,
                                          int32_t *order,
                                          double *ratio,
                                          rampmeter_error *error);

/**
 * Says which task the account itself would be given next; NULL: it wants nothing, or what it wants
 * cannot be given now. It stays so until this is called again.
 *
 * Fails: E_STALE, E_RANGE (amounts, or a ledger that keeps no turns), E_POINTER. Allocates: no.
 * Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_set_next_task(struct rampmeter_ledger *ledger,
                                                uint64_t account,
                                                const struct rampmeter_amounts *task,
                                                rampmeter_error *error);

/**
 * The task that the account itself would be given next; `*has_task` is 0, and all amounts 0, if it
 * has none.
 *
 * Fails: E_STALE, E_RANGE (it keeps no turns), E_POINTER. Allocates: no. Blocks: no. Threads: any
 * number, while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_next_task(const struct rampmeter_ledger *ledger,
                                            uint64_t account,
                                            struct rampmeter_amounts *task,
                                            uint8_t *has_task,
                                            rampmeter_error *error);

/**
 * The account whose next task should be given now; `*account` is 0 if nobody has one. If the task
 * does not fit, say so by rampmeter_ledger_set_next_task() with NULL, and it is somebody else's
 * turn.
 *
 * Fails: E_RANGE (it keeps no turns), E_POINTER. Allocates: no. Blocks: no. Threads: any number,
 * while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_most_deserving(const struct rampmeter_ledger *ledger,
                                                 uint64_t *account,
                                                 rampmeter_error *error);

/**
 * How much an account has borrowed, with everybody below it, of what others lend; as if it held
 * `more` on top of what it holds, unless that is NULL.
 *
 * Fails: E_STALE, E_RANGE (amounts, or a ledger that does not keep it), E_POINTER. Allocates: no.
 * Blocks: no. Threads: any number, while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_borrowed(const struct rampmeter_ledger *ledger,
                                           uint64_t account,
                                           const struct rampmeter_amounts *more,
                                           struct rampmeter_borrowed *borrowed,
                                           rampmeter_error *error);

/**
 * Says how an account is protected from reclaim from now on. What it has lost of late stays lost,
 * and comes back at the new pace.
 *
 * Fails: E_STALE, E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one
 * at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_set_reclaim_limits(struct rampmeter_ledger *ledger,
                                                     uint64_t account,
                                                     const struct rampmeter_reclaim_limits *limits,
                                                     rampmeter_error *error);

/**
 * How an account is protected from reclaim, as rampmeter_ledger_set_reclaim_limits() takes it.
 *
 * Fails: E_STALE, E_RANGE (no resources), E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads:
 * any number, while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_reclaim_limits(const struct rampmeter_ledger *ledger,
                                                 uint64_t account,
                                                 struct rampmeter_reclaim_limits *limits,
                                                 rampmeter_error *error);

/**
 * What an account alone may still lose of each resource, in whole unit-seconds;
 * RAMPMETER_UNLIMITED where nothing limits it. Those above it may have less left.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE (no resources), E_POINTER. Allocates: no. Blocks: no.
 * Threads: any number, while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_loss_left(const struct rampmeter_ledger *ledger,
                                            uint64_t now_ns,
                                            uint64_t account,
                                            struct rampmeter_amounts *left,
                                            rampmeter_error *error);

/**
 * How far up the reclaimer may look for victims. With `missing` the same as `amounts`, `fits` says
 * whether it may have them without anybody above it exceeding what it is entitled to.
 *
 * Fails: E_STALE, E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: any
 * number, while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_may_reclaim(const struct rampmeter_ledger *ledger,
                                              const struct rampmeter_reclamation *claim,
                                              struct rampmeter_reclaim_scope *scope,
                                              rampmeter_error *error);

/**
 * The accounts that may be asked for what is missing, in the order in which they should give;
 * `*len` of them are written, fewer than `capacity` only if there are no more. Each one takes time
 * in proportion to all accounts; a job that is taken may change the order.
 *
 * Fails: E_STALE, E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: any
 * number, while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_victims(const struct rampmeter_ledger *ledger,
                                          const struct rampmeter_reclamation *claim,
                                          uint64_t *victims,
                                          size_t capacity,
                                          size_t *len,
                                          rampmeter_error *error);

/**
 * Whether the reclaimer may have this job ended. Where a claim needs several jobs, try each with
 * rampmeter_ledger_release() and rampmeter_ledger_reclaimed(), and take it back with
 * rampmeter_ledger_allocate() and rampmeter_ledger_reclaim_undone() if not enough comes together;
 * `missing` is what is still missing.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE, E_CONTRADICTION (it was saved before it began, or
 * later than now), E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: any number,
 * while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_reclaimable(const struct rampmeter_ledger *ledger,
                                              uint64_t now_ns,
                                              const struct rampmeter_reclamation *claim,
                                              const struct rampmeter_running_job *job,
                                              struct rampmeter_verdict *verdict,
                                              rampmeter_error *error);

/**
 * The job was taken: the work that it loses is charged to its account and to each one above it
 * that does not hold the reclaimer as well. What the account holds is changed by
 * rampmeter_ledger_release() and rampmeter_ledger_ask().
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE, E_CONTRADICTION, E_SIZE, E_TOO_NEW, E_POINTER.
 * Allocates: no. Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_reclaimed(struct rampmeter_ledger *ledger,
                                            uint64_t now_ns,
                                            uint64_t reclaimer,
                                            const struct rampmeter_running_job *job,
                                            rampmeter_error *error);

/**
 * The job that rampmeter_ledger_reclaimed() charged at the same `now_ns` goes on after all: the
 * charge is given back.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE, E_CONTRADICTION, E_SIZE, E_TOO_NEW, E_POINTER.
 * Allocates: no. Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_reclaim_undone(struct rampmeter_ledger *ledger,
                                                 uint64_t now_ns,
                                                 uint64_t reclaimer,
                                                 const struct rampmeter_running_job *job,
                                                 rampmeter_error *error);

/**
 * Records that an account has used an amount, in a unit of the host's (GPU seconds, say), up to
 * `now_ns`. It counts for everybody above it, too.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE_REAL (0 to 2^53), E_RANGE (no history), E_POINTER.
 * Allocates: no. Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_record_usage(struct rampmeter_ledger *ledger,
                                               uint64_t now_ns,
                                               uint64_t account,
                                               double amount,
                                               rampmeter_error *error);

/**
 * What an account and everybody below it used, as it counts now; 0 for all accounts together,
 * closed ones included.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE (no history), E_POINTER. Allocates: no. Blocks: no.
 * Threads: any number, while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_usage(const struct rampmeter_ledger *ledger,
                                        uint64_t now_ns,
                                        uint64_t account,
                                        double *usage,
                                        rampmeter_error *error);

/**
 * Gives an account other shares in the rankings than its weight: RAMPMETER_SHARES_..., and their
 * number with RAMPMETER_SHARES_NUMBER.
 *
 * Fails: E_STALE, E_RANGE (the kind, or no history), E_RANGE_REAL, E_POINTER. Allocates: no.
 * Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_set_shares(struct rampmeter_ledger *ledger,
                                             uint64_t account,
                                             uint32_t shares_kind,
                                             double shares,
                                             rampmeter_error *error);

/**
 * The shares that were set.
 *
 * Fails: E_STALE, E_RANGE (no history), E_POINTER. Allocates: no. Blocks: no. Threads: any number,
 * while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_shares(const struct rampmeter_ledger *ledger,
                                         uint64_t account,
                                         uint32_t *shares_kind,
                                         double *shares,
                                         rampmeter_error *error);

/**
 * Sets whether an account is to be found by rampmeter_ledger_next_ranked(), because it has
 * something that waits.
 *
 * Fails: E_STALE, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each
 * ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_set_ranked(struct rampmeter_ledger *ledger,
                                             uint64_t account,
                                             uint8_t ranked,
                                             rampmeter_error *error);

/**
 * The user with the best rank among those that wait; `*account` is 0 if nobody does. `ranking` is
 * RAMPMETER_RANKING_...; `damping` (1 to 65,535; 0: 1) is read with RAMPMETER_RANKING_CLASSIC
 * only.
 *
 * Fails: E_RANGE, E_RANGE_REAL (damping), E_POINTER. Allocates: no. Blocks: no. Threads: one at a
 * time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_next_ranked(struct rampmeter_ledger *ledger,
                                              uint32_t ranking,
                                              double damping,
                                              uint64_t *account,
                                              rampmeter_error *error);

/**
 * Writes all users, the first one first; `*len` is their number.
 *
 * Fails: E_RANGE, E_RANGE_REAL (damping), E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks:
 * no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_rank_users(struct rampmeter_ledger *ledger,
                                             uint32_t ranking,
                                             double damping,
                                             struct rampmeter_ranked *ranked,
                                             size_t capacity,
                                             size_t *len,
                                             rampmeter_error *error);

/**
 * Where an account stands, and why. Its factor and rank take as long as a whole ranking.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE, E_RANGE_REAL (damping), E_POINTER. Allocates:
 * no. Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_standing(struct rampmeter_ledger *ledger,
                                           uint64_t now_ns,
                                           uint64_t account,
                                           uint32_t ranking,
                                           double damping,
                                           struct rampmeter_standing *standing,
                                           rampmeter_error *error);

/**
 * Where every account stands: written to `standings` at the place of each open account, of which
 * there are `accounts_max`, and zeros at the others. Takes as long as a whole ranking, once.
 *
 * Fails: E_TIME_REVERSED, E_RANGE, E_RANGE_REAL (damping), E_BUFFER_TOO_SMALL, E_POINTER. Allocates:
 * no. Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_standings(struct rampmeter_ledger *ledger,
                                            uint64_t now_ns,
                                            uint32_t ranking,
                                            double damping,
                                            struct rampmeter_standing *standings,
                                            size_t capacity,
                                            rampmeter_error *error);

/**
 * The factor of an account, 0 to 1; `*is_known` is 0, and the factor 0, for one with others below
 * it in Fair Tree.
 *
 * Fails: E_STALE, E_RANGE, E_RANGE_REAL (damping), E_POINTER. Allocates: no. Blocks: no. Threads:
 * one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_factor(struct rampmeter_ledger *ledger,
                                         uint64_t account,
                                         uint32_t ranking,
                                         double damping,
                                         double *factor,
                                         uint8_t *is_known,
                                         rampmeter_error *error);

/**
 * Sets how much an account and everybody below it may bring in, from now on. What its buckets hold
 * or owe they keep, as far as it fits.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE (no rates), E_SIZE, E_TOO_NEW, E_POINTER. Allocates:
 * no. Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_set_rates(struct rampmeter_ledger *ledger,
                                            uint64_t now_ns,
                                            uint64_t account,
                                            const rampmeter_rate_limits *limits,
                                            rampmeter_error *error);

/**
 * What was set last; all 0 but `burst_ns` before.
 *
 * Fails: E_STALE, E_RANGE (no rates), E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any
 * number, while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_rates(const struct rampmeter_ledger *ledger,
                                        uint64_t account,
                                        rampmeter_rate_limits *limits,
                                        rampmeter_error *error);

/**
 * One request with so many tokens comes in: takes it out of the buckets of its account and of
 * everybody above it if all of them hold enough, and else out of none.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE (no rates), E_POINTER. Allocates: no. Blocks: no.
 * Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_admit_rate(struct rampmeter_ledger *ledger,
                                             uint64_t now_ns,
                                             uint64_t account,
                                             uint64_t tokens,
                                             struct rampmeter_rate_decision *decision,
                                             rampmeter_error *error);

/**
 * What rampmeter_ledger_admit_rate() would answer; takes nothing.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE (no rates), E_POINTER. Allocates: no. Blocks: no.
 * Threads: any number, while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_rate_check(const struct rampmeter_ledger *ledger,
                                             uint64_t now_ns,
                                             uint64_t account,
                                             uint64_t tokens,
                                             struct rampmeter_rate_decision *decision,
                                             rampmeter_error *error);

/**
 * Takes tokens that have come out already, whether they are there or not: an account that owes
 * some brings nothing in until time has paid them.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE (no rates), E_POINTER. Allocates: no. Blocks: no.
 * Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_charge_rate(struct rampmeter_ledger *ledger,
                                              uint64_t now_ns,
                                              uint64_t account,
                                              uint64_t tokens,
                                              rampmeter_error *error);

/**
 * Gives back requests and tokens that were taken and then not used.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE (no rates), E_POINTER. Allocates: no. Blocks: no.
 * Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_refund_rate(struct rampmeter_ledger *ledger,
                                              uint64_t now_ns,
                                              uint64_t account,
                                              uint32_t requests,
                                              uint64_t tokens,
                                              rampmeter_error *error);

/**
 * Says which copy this ledger is, 0 to `replicas_max`, before anything is told or merged, and
 * after a restart which incarnation: a larger number than before.
 *
 * Fails: E_RANGE, E_CONTRADICTION, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
 * for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_set_replica(struct rampmeter_ledger *ledger,
                                              uint32_t replica,
                                              uint64_t incarnation,
                                              rampmeter_error *error);

/**
 * Gives an account the key by which other copies know it, such as rampmeter_path_key() makes.
 *
 * Fails: E_STALE, E_RANGE (0, or a ledger without replicas), E_CONTRADICTION (it has another),
 * E_DUPLICATE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each ledger.
 * Since: 0.1.
 */
rampmeter_status rampmeter_ledger_set_key(struct rampmeter_ledger *ledger,
                                          uint64_t account,
                                          uint64_t key,
                                          rampmeter_error *error);

/**
 * The account with this key; `*account` is 0 if none has it.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
 * ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_account_of(const struct rampmeter_ledger *ledger,
                                             uint64_t key,
                                             uint64_t *account,
                                             rampmeter_error *error);

/**
 * Service of an account in a lane, at all copies as far as this one knows, as it was charged.
 *
 * Fails: E_STALE, E_RANGE (lane, or a ledger without replicas), E_POINTER. Allocates: no. Blocks:
 * no. Threads: any number, while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_service(const struct rampmeter_ledger *ledger,
                                          uint32_t lane,
                                          uint64_t account,
                                          double *service,
                                          rampmeter_error *error);

/**
 * Writes what was charged here since it was told last, for all other copies alike, and takes it
 * for told. With too short an array the next call goes on where this one ended.
 *
 * Fails: E_RANGE (it does not know which copy it is), E_SIZE, E_POINTER. Allocates: no. Blocks:
 * no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_delta(struct rampmeter_ledger *ledger,
                                        rampmeter_delta_entry *entries,
                                        size_t capacity,
                                        rampmeter_delta *delta,
                                        rampmeter_error *error);

/**
 * Writes everything that was charged here, told or not, for a copy that begins or missed deltas.
 * `*next` is 0 in the first call; where it is not 0 afterwards, call again with it.
 *
 * Fails: E_RANGE (it does not know which copy it is), E_SIZE, E_POINTER. Allocates: no. Blocks:
 * no. Threads: any number, while nobody changes the ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_delta_all(const struct rampmeter_ledger *ledger,
                                            uint64_t *next,
                                            rampmeter_delta_entry *entries,
                                            size_t capacity,
                                            rampmeter_delta *delta,
                                            rampmeter_error *error);

/**
 * Takes what another copy told: charges what is new in it. In any order, once or often. Of `delta`
 * only `replica` and `incarnation` are read.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_CONTRADICTION, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no.
 * Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_merge(struct rampmeter_ledger *ledger,
                                        const rampmeter_delta *delta,
                                        const rampmeter_delta_entry *entries,
                                        size_t len,
                                        rampmeter_merged *merged,
                                        rampmeter_error *error);

/**
 * Forgets what was heard from a copy that is gone; what was charged stays charged.
 *
 * Fails: E_RANGE, E_CONTRADICTION, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
 * for each ledger. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_forget_replica(struct rampmeter_ledger *ledger,
                                                 uint32_t replica,
                                                 rampmeter_error *error);

/* ================================================================================================
 * Placer: where a task runs
 *
 * A placer knows nodes with their devices, and tasks: whole devices, parts of them, partitions
 * (MIG), several members that start together (gangs). rampmeter_placer_place() answers for one task
 * at once; or the host submits tasks, and rampmeter_placer_cycle() says who starts now, who is
 * promised a start, and who ends for others. The host starts and ends them; with
 * rampmeter_placer_release() what a task held is free again. `docs/policies/place.md` and
 * `docs/policies/cycle.md` say how it decides.
 */

/** Most devices of one node: a set of them is 16 bits. */
#define RAMPMETER_NODE_DEVICES_MAX 16

/** How a device is given away: whole, or in thousandths of its time with some of its memory. */
#define RAMPMETER_SHARING_SHARED 0

/** Only whole. */
#define RAMPMETER_SHARING_EXCLUSIVE 1

/** Only in partitions, by the rules of its layout (MIG). */
#define RAMPMETER_SHARING_PARTITIONED 2

/** Whether a node or a device may be given work: it may. */
#define RAMPMETER_HEALTH_READY 0

/** What runs there may end, nothing new starts. */
#define RAMPMETER_HEALTH_DRAINING 1

/** It is lost: nothing runs there. */
#define RAMPMETER_HEALTH_FAILED 2

/** What a member takes of devices: nothing. */
#define RAMPMETER_DEVICES_NONE 0

/** Whole ones. */
#define RAMPMETER_DEVICES_WHOLE 1

/** A part of one or several. */
#define RAMPMETER_DEVICES_SHARE 2

/** A partition (MIG) of one: the smallest of its layout with at least what is asked for. */
#define RAMPMETER_DEVICES_PARTITION 3

/** How far apart is still together: anywhere. */
#define RAMPMETER_DOMAIN_FLEET 0

/** On one node. */
#define RAMPMETER_DOMAIN_NODE 1

/** In one rack. */
#define RAMPMETER_DOMAIN_RACK 2

/** In one zone. */
#define RAMPMETER_DOMAIN_ZONE 3

/** Most entries of a mix. */
#define RAMPMETER_MIX_ENTRIES_MAX 256

/** What a node lacks for a member, the first of these in this order: nothing. */
#define RAMPMETER_LACK_NONE 0

/** It is draining or lost. */
#define RAMPMETER_LACK_STATUS 1

/** A label that is required, or the absence of one. */
#define RAMPMETER_LACK_LABELS 2

/** A device of an accepted model, ready and of the right kind, free or not. */
#define RAMPMETER_LACK_MODEL 3

/** CPU that is free. */
#define RAMPMETER_LACK_CPU 4

/** Host memory that is free. */
#define RAMPMETER_LACK_MEMORY 5

/** Devices with so much free. */
#define RAMPMETER_LACK_DEVICES 6

/** Devices with so much memory free. */
#define RAMPMETER_LACK_DEVICE_MEMORY 7

/** Devices enough in one link group. */
#define RAMPMETER_LACK_LINK_GROUP 8

/** A place for a partition of that size. */
#define RAMPMETER_LACK_PARTITION 9

/** Room in its failure domain for one more replica of the group. */
#define RAMPMETER_LACK_SPREAD 10

/** It is in another rack or zone than the members must be in. */
#define RAMPMETER_LACK_TOPOLOGY 11

/** What is free is promised to somebody else. */
#define RAMPMETER_LACK_RESERVED 12

/** Where a task is: it waits for a cycle to start it. */
#define RAMPMETER_TASK_PENDING 0

/** It holds what it was given. */
#define RAMPMETER_TASK_RUNNING 1

/** It holds what it was given, and was told to end for somebody else. */
#define RAMPMETER_TASK_ENDING 2

/** Elements of rampmeter_why::nodes_lacking: more than there are lacks now. */
#define RAMPMETER_LACKS_MAX 16

/** Why a start is expected then, or none is: it has started. */
#define RAMPMETER_EXPECTED_STARTED 0

/** It has a reservation. */
#define RAMPMETER_EXPECTED_RESERVED 1

/** There is room then, if all that runs or waits before it ends when it said. */
#define RAMPMETER_EXPECTED_ENDS 2

/**
 * The last cycle held batch work like it for urgent work: it is the earliest that there is room, and
 * how long it is held nobody knows.
 */
#define RAMPMETER_EXPECTED_HELD 3

/** More wait before it than were looked at: it is the earliest that it can be. */
#define RAMPMETER_EXPECTED_MANY_BEFORE 4

/** Whoever is in its way did not say how long it runs: no time is known. */
#define RAMPMETER_EXPECTED_UNKNOWN 5

/** It would not find room if nothing else ran. */
#define RAMPMETER_EXPECTED_NEVER_FITS 6

/** Most tasks that one call of rampmeter_placer_what_if() asks about. */
#define RAMPMETER_WHAT_IF_TASKS_MAX 64

/** Something that might happen: a node comes. */
#define RAMPMETER_IF_ADD_NODE 1

/** A node goes; tasks with a member on it end. */
#define RAMPMETER_IF_REMOVE_NODE 2

/** A node is lost; tasks with a member on it end. */
#define RAMPMETER_IF_FAIL_NODE 3

/** Nothing more starts on a node. */
#define RAMPMETER_IF_DRAIN_NODE 4

/** A node may be given work again. */
#define RAMPMETER_IF_RETURN_NODE 5

/** A task ends. */
#define RAMPMETER_IF_RELEASE 6

/** A task starts, with as many members as find room. */
#define RAMPMETER_IF_PLACE 7

/**
 * Places tasks on the nodes of one fleet. One thread at a time may change it; calls with a `const`
 * pointer may run side by side.
 */
typedef struct rampmeter_placer rampmeter_placer;

/** A device of a node. */
typedef struct rampmeter_device {
    /**
     * Memory. 0: unknown, and nothing that asks for device memory fits. Of a partitioned device at
     * least what its partitions can have together.
     */
    uint32_t memory_mib;
    /** Its model, by the host's own number for it, 0 to 63. */
    uint8_t model;
    /** NUMA node that it is attached to. */
    uint8_t numa;
    /** Devices of one node with the same number reach each other fast (an NVLink domain). */
    uint8_t link_group;
    /** RAMPMETER_SHARING_... */
    uint8_t sharing;
    /** Its layout, if it is partitioned; else 0. See rampmeter_layout_named(). */
    uint8_t layout;
    /** Must be 0. */
    uint8_t reserved[3];
} rampmeter_device;

/** A node that comes. Set all of it to 0, then `size`, then what is known. */
typedef struct rampmeter_node {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Elements of `devices`. */
    uint32_t devices_len;
    /** Its devices; calls name them by their place here, from 0. */
    const struct rampmeter_device *devices;
    /** What the host says about it, as bits of its choice. */
    uint64_t labels;
    /** Thousandths of a core, up to 2^30. */
    uint32_t cpu_milli;
    /** Host memory, up to 2^30. */
    uint32_t memory_mib;
    /**
     * Rack (or NVLink domain of several nodes), below 2^20. Racks are numbered over the whole fleet.
     */
    uint32_t rack;
    /** Zone that the rack stands in, below 2^20. */
    uint32_t zone;
} rampmeter_node;

/** One size of partition that a device can be cut into. */
typedef struct rampmeter_profile {
    /** Memory. */
    uint32_t memory_mib;
    /** Compute slices, 1 to those of the device. */
    uint8_t compute_slices;
    /** Memory slices that it occupies, in a row, up to 8. */
    uint8_t memory_slices;
    /** Memory slices at which it may begin, as bits. */
    uint8_t starts;
    /** Must be 0. */
    uint8_t reserved;
} rampmeter_profile;

/** The partitions that a model of device can be cut into. */
typedef struct rampmeter_layout {
    /** Its profiles, smallest first: by memory slices, then by compute slices. */
    const struct rampmeter_profile *profiles;
    /** Elements of `profiles`, 1 to 8. */
    uint32_t profiles_len;
    /** Compute slices of the whole device, 1 to 7. */
    uint8_t compute_slices;
    /** Must be 0. */
    uint8_t reserved[3];
} rampmeter_layout;

/** Size of a placer. Set all of it to 0, then `size`, then what differs from the default. */
typedef struct rampmeter_placer_options {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Nodes that may be there at once, up to 1,048,576; 0: 1,024. */
    uint32_t nodes_max;
    /** Devices that one node may have, up to RAMPMETER_NODE_DEVICES_MAX; 0: 8. */
    uint32_t devices_per_node_max;
    /**
     * Tasks that may be known at once, pending and running together, up to 16,777,216; 0: 16,384.
     */
    uint32_t tasks_max;
    /** Members of all tasks that may run at once, up to 16,777,216; 0: 16,384. */
    uint32_t members_max;
    /** Members of one task, up to 65,536; 0: 1,024. */
    uint32_t task_members_max;
    /** Accounts that tasks may belong to, up to 16,777,216; 0: 1,024. */
    uint32_t accounts_max;
    /** Elements of `layouts`, at most 9. */
    uint32_t layouts_len;
    /**
     * Layouts of the host, of devices for which none is built in; see rampmeter_layout_of_host().
     */
    const struct rampmeter_layout *layouts;
} rampmeter_placer_options;

/** What one member of a task takes of one node. Set all of it to 0, then what it takes. */
typedef struct rampmeter_demand {
    /** Models of device that will do, as bits; 0: any. */
    uint64_t models;
    /** Thousandths of a core, up to 2^30. */
    uint32_t cpu_milli;
    /** Host memory, up to 2^30. */
    uint32_t memory_mib;
    /**
     * Memory of each device, or of the partition, at least; of a share: so much of it. 0: any.
     */
    uint32_t device_memory_mib;
    /** Of a share the thousandths of each device, 1 to 999; else 0. */
    uint16_t device_milli;
    /** RAMPMETER_DEVICES_... */
    uint8_t device_kind;
    /** Whole devices, or devices that it takes a share of, 1 to 16; 0: one. */
    uint8_t device_count;
    /** Of a partition its compute slices, 1 to 7; else 0. */
    uint8_t compute_slices;
    /** 1: all its devices must be in one link group. */
    uint8_t one_link_group;
    /** Must be 0. */
    uint8_t reserved[6];
} rampmeter_demand;

/** A kind of task, and how often it comes. */
typedef struct rampmeter_mix_entry {
    /**
     * What one member takes: no part of a device or one, or whole ones. Memory is not looked at.
     */
    struct rampmeter_demand member;
    /** How often it comes, in any unit that is the same for all, 1 to 1,048,576. */
    uint32_t weight;
    /** Must be 0. */
    uint32_t reserved;
} rampmeter_mix_entry;

/**
 * A task: one member, or several that start together (a gang). Set all of it to 0, then `size`,
 * then what is known.
 */
typedef struct rampmeter_task {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Place of its class in the policy. */
    uint32_t class_index;
    /** The host's own number for it, never read. */
    uint64_t tag;
    /**
     * Whose task it is, by its handle in the ledger; 0: nobody's, which a cycle takes in the order
     * of arrival only.
     */
    uint64_t account;
    /** What each member takes of its node. */
    struct rampmeter_demand member;
    /** Members wanted; 0: one. */
    uint32_t members;
    /** Members with which it can start; 0: all of them. */
    uint32_t members_min;
    /** Labels that a node must have, as bits. */
    uint64_t labels_required;
    /** Labels that a node must not have, as bits. */
    uint64_t labels_forbidden;
    /** Run time expected, with everything warm and alone; 0: not known. */
    uint64_t duration_ns;
    /** How long loading its artifact takes where it is not there. */
    uint64_t warm_up_ns;
    /** How long it is left to run before it may be made to end. */
    uint64_t min_runtime_ns;
    /** Share of the run time that is lost where its members are not together, 0 to 1,000. */
    double slowdown_ratio;
    /**
     * Share of the run time that is lost where the devices of a member are in several link groups,
     * 0 to 1,000.
     */
    double link_slowdown_ratio;
    /** What each replica of its group already in a domain costs, in seconds of delay. */
    double crowding_s;
    /** Inside its account, higher goes first; up to 2^30 either way. */
    int32_t priority;
    /** What it loads before it starts (a model, an image), by the host's number; 0: nothing. */
    uint32_t artifact;
    /** Tasks of one group keep apart, so that one failure does not take them all; 0: of none. */
    uint32_t spread_group;
    /** Most members of its group in one domain of that; 0: any number. */
    uint32_t spread_members_max;
    /** RAMPMETER_DOMAIN_...: one failure takes one of these. */
    uint8_t spread_domain;
    /** RAMPMETER_DOMAIN_...: its members should be together in one of these. */
    uint8_t within;
    /** 1: they must be; 0: being apart is priced. */
    uint8_t within_required;
    /** 1: it may be made to end for others. */
    uint8_t preemptible;
    /** Must be 0. */
    uint32_t reserved;
} rampmeter_task;

/** What a member of a task holds of one node. */
typedef struct rampmeter_hold {
    /** The node. */
    uint64_t node;
    /** Thousandths of a core. */
    uint32_t cpu_milli;
    /** Host memory. */
    uint32_t memory_mib;
    /** Devices of the node, as bits. */
    uint16_t devices;
    /** Thousandths of each of them; 1,000: whole. */
    uint16_t device_milli;
    /** Memory of each of them. */
    uint32_t device_memory_mib;
    /** Memory slices of the one device, as bits, for a partition; else 0. */
    uint8_t slices;
    /** Mean nothing. */
    uint8_t reserved[7];
} rampmeter_hold;

/**
 * What a placement costs, each part in seconds of delay times what the delay of the class is worth.
 * A negative part is a gain.
 */
typedef struct rampmeter_price {
    /** GPUs that it makes unusable for the task mix, for as long as they stay so. */
    double stranding_s;
    /** Loading what is not there yet. */
    double warm_up_s;
    /** Run time lost on slow links. */
    double link_s;
    /** Slowing others down, and being slowed down, less what the average tenant would cost. */
    double interference_s;
    /** Standing where replicas of the same group stand already. */
    double crowding_s;
    /** Work that victims lose. */
    double lost_work_s;
} rampmeter_price;

/** What was decided. Set `size` before. */
typedef struct rampmeter_placed {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Members that were placed, came, went or changed: so many holds were written. */
    uint32_t members_len;
    /**
     * The task, which runs; 0: there is no room now, nothing was done, and nothing was written.
     */
    uint64_t task;
    /** What that costs; 0 without room. */
    struct rampmeter_price price;
    /**
     * RAMPMETER_LACK_...: without room what the node that came closest lacks; TOPOLOGY where there
     * is room, but not in one domain.
     */
    uint8_t lack;
    /** 0. */
    uint8_t reserved[7];
} rampmeter_placed;

/** What is known of a task. Set `size` before. */
typedef struct rampmeter_task_state {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Members that it has. */
    uint32_t members_len;
    /** The host's own number for it. */
    uint64_t tag;
    /** Whose task it is. */
    uint64_t account;
    /** When it came. */
    uint64_t submitted_ns;
    /** When it started; for one that waits when it began to. */
    uint64_t started_ns;
    /** What its placement costs. */
    struct rampmeter_price price;
    /** RAMPMETER_TASK_... */
    uint8_t stage;
    /** 0. */
    uint8_t reserved[7];
} rampmeter_task_state;

/** A start that is promised. */
typedef struct rampmeter_reservation {
    /** Who was promised. */
    uint64_t task;
    /** When it starts at the latest, if nothing runs longer than it said. */
    uint64_t start_at_ns;
} rampmeter_reservation;

/**
 * Arrays of the caller for what a cycle says is to be done. One that is full ends the cycle; what
 * did not go in comes in the next one. Without any room for what must go into an array nothing of
 * the kind is ever done. Set each of them to 0 once before its first use, as calloc() does.
 */
typedef struct rampmeter_cycle_plan {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Elements of `started`. */
    uint32_t started_capacity;
    /** Elements of `ending`. */
    uint32_t ending_capacity;
    /** Elements of `reserved`. */
    uint32_t reserved_capacity;
    /** Tasks that run from now on; rampmeter_placer_holds() says where. */
    uint64_t *started;
    /**
     * Running tasks that the host must end, so that others can start. They hold what they have
     * until rampmeter_placer_release() or rampmeter_placer_requeue().
     */
    uint64_t *ending;
    /** Tasks that were promised a start, or another one than before. */
    struct rampmeter_reservation *reserved;
} rampmeter_cycle_plan;

/** What a cycle did. Set `size` before. */
typedef struct rampmeter_cycle {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Elements written to rampmeter_cycle_plan::started. */
    uint32_t started_len;
    /** Elements written to rampmeter_cycle_plan::ending. */
    uint32_t ending_len;
    /** Elements written to rampmeter_cycle_plan::reserved. */
    uint32_t reserved_len;
    /** Pending tasks without a reservation that were looked at. */
    uint32_t looked_at;
    /** Of them, how many found no room. */
    uint32_t no_room;
    /** Of them, how many would exceed a limit of their account or of one above it. */
    uint32_t over_limit;
    /**
     * Others that were not looked at: known, like all that were left in their queue, to find no
     * room.
     */
    uint32_t passed_over;
    /** Earliest starts that were worked out, and searches for tasks that could end for others. */
    uint32_t replays;
    /** 1: not everybody was looked at: call again. */
    uint32_t more;
    /**
     * Of those that were looked at, how many are batch work that is held for urgent work; see
     * rampmeter_placer_cycle_holding().
     */
    uint32_t held;
    /** 0. */
    uint32_t reserved;
} rampmeter_cycle;

/**
 * What a placer holds, and how full it is. What is promised to somebody for later counts as free.
 * Set `size` before.
 */
typedef struct rampmeter_stats_placer {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Tasks that are known, pending and running together. */
    uint32_t tasks;
    /** Tasks that may be. */
    uint32_t tasks_max;
    /** Of the tasks, those that wait for their start, with a reservation or without. */
    uint32_t pending;
    /** Of them, those with a reservation. */
    uint32_t reservations;
    /** Reservations that may be held at once. */
    uint32_t reservations_max;
    /** Members of the tasks that run. */
    uint32_t members;
    /** Members that may be. */
    uint32_t members_max;
    /** Nodes that are there, in whatever state. */
    uint32_t nodes;
    /** Nodes that may be. */
    uint32_t nodes_max;
    /** Of the nodes, those that may be given work. */
    uint32_t nodes_ready;
    /** Devices that may be given away, on those. */
    uint32_t devices;
    /** Of them, those of which nothing is taken. */
    uint32_t devices_free;
    /** 0. */
    uint32_t reserved;
    /** Thousandths of devices that are free. */
    uint64_t gpu_free_milli;
    /** Passes over all that wait that have come to their end. */
    uint64_t cycles;
} rampmeter_stats_placer;

/** What is in the way of a task. Set `size` before. */
typedef struct rampmeter_why {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Nodes that there are: all of `nodes_lacking` together. */
    uint32_t nodes;
    /**
     * Members that would find room now, all in one domain where they must be, at most as many as
     * wanted.
     */
    uint32_t members_fit;
    /** Members without which it does not start. */
    uint32_t members_needed;
    /**
     * Nodes by the first thing that they lack, at the place of its number: at
     * RAMPMETER_LACK_NONE those that could take a member now.
     */
    uint32_t nodes_lacking[RAMPMETER_LACKS_MAX];
    /** Of the nodes that lack something the nearest one; 0: there is none. */
    uint64_t nearest;
    /**
     * How much the nearest has of what it lacks: thousandths of a core, MiB, devices, labels as
     * they should be, members; 0 for what cannot be counted.
     */
    uint64_t nearest_has;
    /** How much of that is needed; 1 for what cannot be counted. */
    uint64_t nearest_needs;
    /** RAMPMETER_LACK_...: what the nearest lacks. */
    uint8_t nearest_lack;
    /** 1: it could start now. */
    uint8_t starts;
    /**
     * 1: the last cycle held batch work like it for urgent work: it waits even where there is room.
     */
    uint8_t held;
    /** 0. */
    uint8_t reserved[5];
} rampmeter_why;

/** When a task starts. Set `size` before. */
typedef struct rampmeter_expected {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** RAMPMETER_EXPECTED_...: why then. */
    uint32_t because;
    /** The time; RAMPMETER_NEVER: none is known. */
    uint64_t at_ns;
} rampmeter_expected;

/** A migration that would pay. */
typedef struct rampmeter_move {
    /** The task. */
    uint64_t task;
    /** What it holds, once the moves before this one are done. */
    struct rampmeter_hold from;
    /** What it would hold. */
    struct rampmeter_hold to;
    /** GPUs that come back, in thousandths. */
    int64_t stranded_milli;
    /** What moving costs, in seconds of delay. */
    double lost_work_s;
    /** What it brings beyond that, in seconds of delay; above zero. */
    double gain_s;
} rampmeter_move;

/** What rampmeter_placer_compact() proposes. Set `size` before. */
typedef struct rampmeter_compaction {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Moves written, to be done in this order. */
    uint32_t moves_len;
    /** GPUs that come back, in thousandths. */
    int64_t stranded_milli;
    /** What all of them bring, in seconds of delay. */
    double gain_s;
} rampmeter_compaction;

/** Something that might happen. Set all of it to 0, then what it is. */
typedef struct rampmeter_if {
    /** RAMPMETER_IF_... */
    uint32_t kind;
    /** Must be 0. */
    uint32_t reserved;
    /**
     * Handle of the node or task that is there already; not read for one that comes or starts.
     */
    uint64_t handle;
    /** The node that comes; else not read. */
    const struct rampmeter_node *node;
    /** The task that starts; else not read. */
    const struct rampmeter_task *task;
} rampmeter_if;

/** An amount of everything, on nodes that are ready with devices that are. */
typedef struct rampmeter_totals {
    /** Nodes; free is one of which nothing is taken. */
    uint32_t nodes;
    /** Devices; free is one of which nothing is taken. */
    uint32_t devices;
    /** Thousandths of devices. */
    uint64_t gpu_milli;
    /** Thousandths of a core. */
    uint64_t cpu_milli;
    /** Host memory. */
    uint64_t memory_mib;
} rampmeter_totals;

/** What would be. Set `size` before. */
typedef struct rampmeter_what_if {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Tasks of RAMPMETER_IF_PLACE that found no room. */
    uint32_t not_placed;
    /** What would be there. */
    struct rampmeter_totals total;
    /** What of that would be free. */
    struct rampmeter_totals free;
} rampmeter_what_if;

/** What is there, and what of it is free. Set `size` before. */
typedef struct rampmeter_stats_fleet {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Nodes in whatever state. */
    uint32_t nodes;
    /** What is there. */
    struct rampmeter_totals total;
    /** What of that is free. */
    struct rampmeter_totals free;
} rampmeter_stats_fleet;

/** What of one model of device is there, on nodes that are ready. Set `size` before. */
typedef struct rampmeter_stats_device_model {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Devices that are ready. */
    uint32_t devices;
    /** Of them those of which nothing is taken. */
    uint32_t devices_free;
    /** 0. */
    uint32_t reserved;
    /** Thousandths of them. */
    uint64_t gpu_milli;
    /** Of these free. */
    uint64_t gpu_free_milli;
} rampmeter_stats_device_model;

/** A node, and what of it is free. Set `size` before. */
typedef struct rampmeter_node_state {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Members of tasks that hold something of it. */
    uint32_t holds;
    /** What the host says about it. */
    uint64_t labels;
    /** Models of its devices, as bits. */
    uint64_t models;
    /** CPU in all, in thousandths of a core. */
    uint32_t cpu_milli;
    /** Of it free. */
    uint32_t cpu_free_milli;
    /** Host memory in all. */
    uint32_t memory_mib;
    /** Of it free. */
    uint32_t memory_free_mib;
    /** Its rack. */
    uint32_t rack;
    /** Its zone. */
    uint32_t zone;
    /** How many devices it has. */
    uint8_t devices_len;
    /** RAMPMETER_HEALTH_... */
    uint8_t health;
    /** 0. */
    uint8_t reserved[6];
} rampmeter_node_state;

/** A device, and what of it is free. Set `size` before. */
typedef struct rampmeter_device_state {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Memory that is free. */
    uint32_t memory_free_mib;
    /** What it is. */
    struct rampmeter_device device;
    /** Thousandths that are free. */
    uint16_t free_milli;
    /** How many hold something of it. */
    uint8_t holders;
    /** Memory slices that partitions occupy, as bits. */
    uint8_t slices;
    /** RAMPMETER_HEALTH_... */
    uint8_t health;
    /** 0. */
    uint8_t reserved[7];
} rampmeter_device_state;

/** Which devices of a node a member would take. Set `size` before. */
typedef struct rampmeter_choice {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Devices of the node, as bits. */
    uint16_t devices;
    /** Memory slices of the one device, as bits, for a partition; else 0. */
    uint8_t slices;
    /** RAMPMETER_LACK_...: what the node lacks; NONE: it fits. */
    uint8_t lack;
} rampmeter_choice;

/**
 * The built-in layout of a device: "a30-24gb", "a100-40gb", "a100-80gb", "h100-80gb", "h100-94gb",
 * "h100-96gb" or "h200-141gb".
 *
 * Fails: E_NAME, E_TEXT, E_POINTER. Allocates: no, but to say which name was wrong. Blocks: no.
 * Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_layout_named(const char *layout_name,
                                        uint8_t *layout,
                                        rampmeter_error *error);

/**
 * The layout that the host gave as this place of rampmeter_placer_options::layouts, from 0. Whether
 * there is one is found out when a device names it.
 *
 * Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
uint8_t rampmeter_layout_of_host(uint8_t place);

/**
 * A node comes; all of it is free. `*added` is its handle.
 *
 * Fails: E_RANGE (the error names the field), E_FULL (`nodes_max`), E_SIZE, E_TOO_NEW, E_POINTER.
 * Ownership: `node` and its devices are read and not kept. Allocates: no. Blocks: no. Threads: one
 * at a time for each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_add_node(struct rampmeter_placer *placer,
                                           const struct rampmeter_node *node,
                                           uint64_t *added,
                                           rampmeter_error *error);

/**
 * Takes a node out on which nothing runs; its handle is stale from now on.
 *
 * Fails: E_STALE, E_CONTRADICTION (something runs there), E_POINTER. Allocates: no. Blocks: no.
 * Threads: one at a time for each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_remove_node(struct rampmeter_placer *placer,
                                              uint64_t node,
                                              rampmeter_error *error);

/**
 * Nothing more starts on a node; what runs there may end. The tasks that run there go to the front
 * of `out`, each once; `*tasks_len` says how many. They stay until they are released.
 *
 * Fails: E_STALE, E_BUFFER_TOO_SMALL (fewer places than members run there), E_POINTER. Allocates:
 * no. Blocks: no. Threads: one at a time for each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_drain_node(struct rampmeter_placer *placer,
                                             uint64_t node,
                                             uint64_t *out,
                                             size_t capacity,
                                             uint32_t *tasks_len,
                                             rampmeter_error *error);

/**
 * A node is lost, with all that ran there. Otherwise as rampmeter_placer_drain_node().
 *
 * Fails, and so on: as there. Since: 0.1.
 */
rampmeter_status rampmeter_placer_fail_node(struct rampmeter_placer *placer,
                                            uint64_t node,
                                            uint64_t *out,
                                            size_t capacity,
                                            uint32_t *tasks_len,
                                            rampmeter_error *error);

/**
 * A node may be given work again, on those of its devices that are ready. What was not released
 * still holds what it held.
 *
 * Fails: E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each placer.
 * Since: 0.1.
 */
rampmeter_status rampmeter_placer_return_node(struct rampmeter_placer *placer,
                                              uint64_t node,
                                              rampmeter_error *error);

/**
 * Nothing more starts on a device. Otherwise as rampmeter_placer_drain_node(), for the tasks that
 * hold something of the device.
 *
 * Fails, and so on: as there, and E_RANGE for a device that the node does not have. Since: 0.1.
 */
rampmeter_status rampmeter_placer_drain_device(struct rampmeter_placer *placer,
                                               uint64_t node,
                                               uint32_t device,
                                               uint64_t *out,
                                               size_t capacity,
                                               uint32_t *tasks_len,
                                               rampmeter_error *error);

/**
 * A device is lost. Otherwise as rampmeter_placer_drain_device().
 *
 * Fails, and so on: as there. Since: 0.1.
 */
rampmeter_status rampmeter_placer_fail_device(struct rampmeter_placer *placer,
                                              uint64_t node,
                                              uint32_t device,
                                              uint64_t *out,
                                              size_t capacity,
                                              uint32_t *tasks_len,
                                              rampmeter_error *error);

/**
 * A device may be given away again. What was not released still holds what it held.
 *
 * Fails: E_STALE, E_RANGE (a device that the node does not have), E_POINTER. Allocates: no. Blocks:
 * no. Threads: one at a time for each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_return_device(struct rampmeter_placer *placer,
                                                uint64_t node,
                                                uint32_t device,
                                                rampmeter_error *error);

/**
 * The host says something else about a node. What runs there stays, also where its task would not
 * be put there any more.
 *
 * Fails: E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each placer.
 * Since: 0.1.
 */
rampmeter_status rampmeter_placer_set_labels(struct rampmeter_placer *placer,
                                             uint64_t node,
                                             uint64_t labels,
                                             rampmeter_error *error);

/**
 * The host says whether an artifact (a model, an image) is on a node; placing a task there says so
 * by itself.
 *
 * Fails: E_STALE, E_RANGE (`artifact` 0, or `is_warm` neither 0 nor 1), E_POINTER. Allocates: no.
 * Blocks: no. Threads: one at a time for each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_set_warm(struct rampmeter_placer *placer,
                                           uint64_t node,
                                           uint32_t artifact,
                                           uint8_t is_warm,
                                           rampmeter_error *error);

/**
 * Creates a placer for a fleet without nodes, with all the memory that it will ever use.
 *
 * Fails: E_RANGE, E_CONTRADICTION (a layout), E_FULL (more layouts than there may be), E_DUPLICATE,
 * E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the caller's, to be given to
 * rampmeter_placer_destroy(); NULL on failure. `policy` and `options` are read and not kept.
 * Allocates: yes, rampmeter_placer_bytes_needed(). Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_placer_create(const rampmeter_policy *policy,
                                         const struct rampmeter_placer_options *options,
                                         struct rampmeter_placer **out,
                                         rampmeter_error *error);

/**
 * Ends a placer. NULL is allowed and does nothing.
 *
 * Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
 */
void rampmeter_placer_destroy(struct rampmeter_placer *placer);

/**
 * Bytes that a placer of this size takes for this policy, to within a few fixed fields.
 *
 * Fails: E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_placer_bytes_needed(const rampmeter_policy *policy,
                                               const struct rampmeter_placer_options *options,
                                               uint64_t *bytes,
                                               rampmeter_error *error);

/**
 * Takes a changed policy; what runs stays where it is, at the price that it had. Delay values and
 * rules hold from now on; its shadow price only where the host has said none.
 *
 * Fails: E_RANGE if it has another number of classes, more accounts than `accounts_max`, or another
 * `placement.measure`: these are fixed; E_RANGE_REAL, E_DUPLICATE, E_POINTER. Allocates: no. Blocks:
 * no. Threads: one at a time for each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_set_policy(struct rampmeter_placer *placer,
                                             const rampmeter_policy *policy,
                                             rampmeter_error *error);

/**
 * Says what a GPU is worth from now on, in value-seconds of waiting for each GPU-second lost: the
 * delay value of what waits, over the GPUs there are, over the part of them that is not asked for
 * (at least 0.05). Until it is said the policy's holds.
 *
 * Fails: E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each placer.
 * Since: 0.1.
 */
rampmeter_status rampmeter_placer_set_shadow_price(struct rampmeter_placer *placer,
                                                   double shadow_price,
                                                   rampmeter_error *error);

/**
 * What a GPU-second is worth now: what was last said, else the policy's.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
 * placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_shadow_price(const struct rampmeter_placer *placer,
                                               double *shadow_price,
                                               rampmeter_error *error);

/**
 * Says what tasks are expected to come, where the host knows it better than what has come tells:
 * from now on nothing is learned. With `mix_len` 0 it is learned again, from what has come before
 * and what comes.
 *
 * Fails: E_RANGE (a demand that cannot be; shares of several devices; partitions; a weight), E_FULL
 * (more than RAMPMETER_MIX_ENTRIES_MAX entries, or 64 that differ in CPU and devices), E_POINTER.
 * Allocates: no. Blocks: no. Threads: one at a time for each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_set_mix(struct rampmeter_placer *placer,
                                          const struct rampmeter_mix_entry *mix,
                                          size_t mix_len,
                                          rampmeter_error *error);

/**
 * Bytes that rampmeter_placer_save() will write now.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
 * placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_snapshot_bytes(const struct rampmeter_placer *placer,
                                                 uint64_t *bytes,
                                                 rampmeter_error *error);

/**
 * Writes all state, nodes included, into `out`; `*written` is its length. Handles of nodes and
 * tasks stay good in what is restored from it. Save the ledger at the same time: the placer
 * remembers what it has told it.
 *
 * Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_save(const struct rampmeter_placer *placer,
                                       uint8_t *out,
                                       size_t capacity,
                                       size_t *written,
                                       rampmeter_error *error);

/**
 * Creates a placer from `len` bytes that rampmeter_placer_save() wrote, which are believed in
 * nothing: damaged or forged ones are refused. `options` are those of the saved one; so is
 * `policy`, or it is a changed one, taken as rampmeter_placer_set_policy() would. What stranding
 * costs is worked out anew from the task mix as it was saved, where the saved placer went by tables of
 * its last round of repricing: until both have been through a round (1/16 of the arrivals seen, 16 at
 * least) the choice among nodes that fit may differ, and nothing else. With a measure that goes by no
 * mix every later answer is the same.
 *
 * Fails: E_SNAPSHOT, and as rampmeter_placer_create(). Ownership, and so on: as there. Since: 0.1.
 */
rampmeter_status rampmeter_placer_restore(const rampmeter_policy *policy,
                                          const struct rampmeter_placer_options *options,
                                          const uint8_t *bytes,
                                          size_t len,
                                          struct rampmeter_placer **out,
                                          rampmeter_error *error);

/**
 * Places a task now, or says what is in the way: then all is as it was, but that the task mix knows
 * of one more arrival. What its members hold goes to the front of `out`, which needs as many places
 * as members are wanted; set them to 0 once before their first use, as calloc() does.
 *
 * Fails: E_RANGE, E_RANGE_REAL (the error names the field), E_FULL (`tasks_max`, `members_max`),
 * E_STALE (an account that has taken the place of another one with tasks), E_BUFFER_TOO_SMALL,
 * E_TIME_REVERSED, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
 * for each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_place(struct rampmeter_placer *placer,
                                        uint64_t now_ns,
                                        const struct rampmeter_task *task,
                                        struct rampmeter_hold *out,
                                        size_t capacity,
                                        struct rampmeter_placed *placed,
                                        rampmeter_error *error);

/**
 * A task comes in and waits; rampmeter_placer_cycle() will start it. `*submitted` is its handle.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_STALE (`account` is 0 and the order is not that of arrival, or
 * has taken the place of another one with tasks), E_FULL (`tasks_max`), E_TIME_REVERSED, E_SIZE,
 * E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each placer.
 * Since: 0.1.
 */
rampmeter_status rampmeter_placer_submit(struct rampmeter_placer *placer,
                                         uint64_t now_ns,
                                         const struct rampmeter_task *task,
                                         uint64_t *submitted,
                                         rampmeter_error *error);

/**
 * A task is gone, whatever its stage: what it held is free, and its handle is stale.
 *
 * Fails: E_STALE, E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_release(struct rampmeter_placer *placer,
                                          uint64_t now_ns,
                                          uint64_t task,
                                          rampmeter_error *error);

/**
 * A task that ran, or was told to end, has ended and wants to run again: what it held is free, and
 * it waits under the same handle.
 *
 * Fails: E_STALE, E_CONTRADICTION (it waits already), E_TIME_REVERSED, E_POINTER. Allocates: no.
 * Blocks: no. Threads: one at a time for each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_requeue(struct rampmeter_placer *placer,
                                          uint64_t now_ns,
                                          uint64_t task,
                                          rampmeter_error *error);

/**
 * Gives a running gang this many members, between those that it needs and those that it wanted.
 * What came or went goes to the front of `out`; the part of a price below 0 was bought back.
 *
 * Fails: E_STALE, E_RANGE (`members`), E_CONTRADICTION (it does not run), E_BUFFER_TOO_SMALL (fewer
 * places than members that come or go), E_FULL (`members_max`), E_TIME_REVERSED, E_SIZE, E_POINTER.
 * Allocates: no. Blocks: no. Threads: one at a time for each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_resize(struct rampmeter_placer *placer,
                                         uint64_t now_ns,
                                         uint64_t task,
                                         uint32_t members,
                                         struct rampmeter_hold *out,
                                         size_t capacity,
                                         struct rampmeter_placed *placed,
                                         rampmeter_error *error);

/**
 * Gives every member of a running task other amounts of what it has, where it is: of CPU and
 * memory, and of the devices that it has shares of. All of them, or none.
 *
 * Fails: E_STALE, E_CONTRADICTION (it does not run; other models; devices of another kind or
 * number; another partition), E_RANGE, E_TIME_REVERSED, E_SIZE, E_POINTER. Allocates: no. Blocks:
 * no. Threads: one at a time for each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_resize_members(struct rampmeter_placer *placer,
                                                 uint64_t now_ns,
                                                 uint64_t task,
                                                 const struct rampmeter_demand *member,
                                                 struct rampmeter_placed *placed,
                                                 rampmeter_error *error);

/**
 * A running task of one member has moved, as rampmeter_placer_compact() proposed or elsewhere: from
 * now on it holds what it asked for on the node, the devices and the slices of `to`, and has no work
 * that is not saved. Of `to` nothing else is read.
 *
 * Fails: E_STALE (the task or the node), E_CONTRADICTION (it does not run; not what it asked for; a
 * node that takes nothing new), E_RANGE (it has several members; other numbers of devices), E_FULL
 * (what is not free), E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
 * for each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_moved_to(struct rampmeter_placer *placer,
                                           uint64_t now_ns,
                                           uint64_t task,
                                           const struct rampmeter_hold *to,
                                           rampmeter_error *error);

/**
 * The work that a running task had done at `at_ns` is saved. The latest report counts.
 *
 * Fails: E_STALE, E_CONTRADICTION (it does not run; `at_ns` is before its start or after `now_ns`),
 * E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each placer.
 * Since: 0.1.
 */
rampmeter_status rampmeter_placer_checkpointed(struct rampmeter_placer *placer,
                                               uint64_t now_ns,
                                               uint64_t task,
                                               uint64_t at_ns,
                                               rampmeter_error *error);

/**
 * What is known of a task.
 *
 * Fails: E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
 * changes the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_task(const struct rampmeter_placer *placer,
                                       uint64_t task,
                                       struct rampmeter_task_state *state,
                                       rampmeter_error *error);

/**
 * What a task asked for, as it could be asked for again. Set `asked->size` before.
 *
 * Fails: E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
 * changes the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_asked(const struct rampmeter_placer *placer,
                                        uint64_t task,
                                        struct rampmeter_task *asked,
                                        rampmeter_error *error);

/**
 * Writes what the members of a task hold to the front of `out`; `*len` says how many there are.
 * With `capacity` 0 it only says that.
 *
 * Fails: E_STALE, E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number,
 * while nobody changes the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_holds(const struct rampmeter_placer *placer,
                                        uint64_t task,
                                        struct rampmeter_hold *out,
                                        size_t capacity,
                                        uint32_t *len,
                                        rampmeter_error *error);

/**
 * What would be lost if a running task ended now, in seconds of delay; 0 for one that does not run.
 *
 * Fails: E_STALE, E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_lost_work(const struct rampmeter_placer *placer,
                                            uint64_t now_ns,
                                            uint64_t task,
                                            double *lost_work_s,
                                            rampmeter_error *error);

/**
 * Goes over the pending tasks, in order, and starts those that find room without breaking a promise
 * to somebody before them. The ledger is told what starts now, and what started and ended since
 * the last call: it must be the same one each time, with gpu_milli, cpu_milli and memory_mib as its
 * first resources, and the host tells it its capacity.
 *
 * Fails: E_TIME_REVERSED, E_RANGE (a ledger that does not keep what the order goes by, or one that
 * holds less for an account than it was told; what it was told about others by then stays told),
 * E_SIZE, E_TOO_NEW, E_POINTER. Ownership: the arrays stay the caller's and are not kept.
 * Allocates: no. Blocks: no. Threads: one at a time for each placer and ledger. Since: 0.1.
 */
rampmeter_status rampmeter_placer_cycle(struct rampmeter_placer *placer,
                                        uint64_t now_ns,
                                        rampmeter_ledger *ledger,
                                        const struct rampmeter_cycle_plan *plan,
                                        struct rampmeter_cycle *cycle,
                                        rampmeter_error *error);

/**
 * As rampmeter_placer_cycle(), but batch work waits where the reserve says that urgent work needs
 * the room. Batch is every class behind that of the reserve. The first batch task with room that is
 * held keeps all batch work behind it from starting in this pass; urgent work goes on. Tell the
 * reserve of urgent work that comes, starts and ends, and call again when time has passed while
 * something is held.
 *
 * Fails: as rampmeter_placer_cycle(), and E_RANGE for a reserve of a class that the placer does not
 * have. And so on: as there; the reserve is only looked at. Since: 0.1.
 */
rampmeter_status rampmeter_placer_cycle_holding(struct rampmeter_placer *placer,
                                                uint64_t now_ns,
                                                rampmeter_ledger *ledger,
                                                const rampmeter_reserve *reserve,
                                                const struct rampmeter_cycle_plan *plan,
                                                struct rampmeter_cycle *cycle,
                                                rampmeter_error *error);

/**
 * The batch task for which there was room and that the last cycle held back for urgent work, and
 * with it all batch work behind it; 0: none was.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
 * placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_held_back(const struct rampmeter_placer *placer,
                                            uint64_t *task,
                                            rampmeter_error *error);

/**
 * Tells the ledger what started and ended since it was last told, as every cycle does first: for a
 * host that places tasks without cycles, or wants to read the ledger between two.
 *
 * Fails: E_TIME_REVERSED, E_RANGE (as rampmeter_placer_cycle()), E_POINTER. Allocates: no. Blocks:
 * no. Threads: one at a time for each placer and ledger. Since: 0.1.
 */
rampmeter_status rampmeter_placer_settle(struct rampmeter_placer *placer,
                                         uint64_t now_ns,
                                         rampmeter_ledger *ledger,
                                         rampmeter_error *error);

/**
 * Chooses running tasks that must end so that this pending one can start, where its account may
 * take from others; cycles do so by themselves. Those with the least weighted lost work go to the
 * front of `out`, and are marked as ending; `*tasks_len` says how many. With `*is_possible` 1 and
 * none of them those that end already, or nobody, are enough; with 0 there is no such set, or `out`
 * has no room for it.
 *
 * Fails: E_STALE (the task, or its account), E_CONTRADICTION (it is not pending), E_TIME_REVERSED,
 * E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each placer and ledger.
 * Since: 0.1.
 */
rampmeter_status rampmeter_placer_reclaim_for(struct rampmeter_placer *placer,
                                              uint64_t now_ns,
                                              rampmeter_ledger *ledger,
                                              uint64_t task,
                                              uint64_t *out,
                                              size_t capacity,
                                              uint8_t *is_possible,
                                              uint32_t *tasks_len,
                                              rampmeter_error *error);

/**
 * Writes all starts that are promised to the front of `out`, in no order; `*len` says how many
 * there are. With `capacity` 0 it only says that.
 *
 * Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_reservations(const struct rampmeter_placer *placer,
                                               struct rampmeter_reservation *out,
                                               size_t capacity,
                                               uint32_t *len,
                                               rampmeter_error *error);

/**
 * What a placer holds, and how full it is.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_stats(const struct rampmeter_placer *placer,
                                        struct rampmeter_stats_placer *stats,
                                        rampmeter_error *error);

/**
 * Whether what a member costs is kept for every node, so that placing one needs no look at each: the
 * measures `value` and `fgd` keep it for 128 shapes (CPU and devices), those asked for last.
 *
 * Fails: E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_knows_shape(const struct rampmeter_placer *placer,
                                              const struct rampmeter_demand *member,
                                              uint8_t *knows_shape,
                                              rampmeter_error *error);

/**
 * What is in the way of a task, pending or imagined; rampmeter_placer_asked() describes one that is
 * known. Nothing is changed that anybody sees, but the placer's working memory is used. Takes time
 * in proportion to the nodes.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_TIME_REVERSED, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no.
 * Blocks: no. Threads: one at a time for each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_why(struct rampmeter_placer *placer,
                                      uint64_t now_ns,
                                      const struct rampmeter_task *task,
                                      struct rampmeter_why *why,
                                      rampmeter_error *error);

/**
 * When a task is expected to start, if nobody comes and all end when they said. Not for the hot
 * path: those that wait before it are all given their earliest start first.
 *
 * Fails: E_STALE, E_TIME_REVERSED, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a
 * time for each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_expected_start(struct rampmeter_placer *placer,
                                                 uint64_t now_ns,
                                                 uint64_t task,
                                                 struct rampmeter_expected *expected,
                                                 rampmeter_error *error);

/**
 * Proposes at most `moves_max` migrations that buy back stranded GPUs, into `out`, which needs as
 * many places; set them to 0 once before their first use, as calloc() does. Nothing moves by itself:
 * the host moves whom it likes, and says so with rampmeter_placer_moved_to(). Not for the hot path.
 *
 * Fails: E_TIME_REVERSED, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_compact(struct rampmeter_placer *placer,
                                          uint64_t now_ns,
                                          uint32_t moves_max,
                                          struct rampmeter_move *out,
                                          struct rampmeter_compaction *compaction,
                                          rampmeter_error *error);

/**
 * What would be if all `changes` happened, one after the other, on a copy of the fleet that nobody
 * else sees: `answer` says what would be free, and `members_fit` for each of `tasks` how many of its
 * members would then find room, at most as many as it wants; each is asked about as if the others
 * did not come. Nodes that come have no handle. Not for the hot path: the fleet is copied.
 *
 * Fails: E_STALE (also what is gone already), E_RANGE, E_RANGE_REAL, E_FULL, E_CONTRADICTION,
 * E_TIME_REVERSED, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
 * for each placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_what_if(struct rampmeter_placer *placer,
                                          uint64_t now_ns,
                                          const struct rampmeter_if *changes,
                                          size_t changes_len,
                                          const struct rampmeter_task *const *tasks,
                                          size_t tasks_len,
                                          struct rampmeter_what_if *answer,
                                          uint32_t *members_fit,
                                          rampmeter_error *error);

/**
 * Where a task would start if all `changes` happened: what its members would hold goes to the front
 * of `out`, which needs as many places as members are wanted; `*members_len` says how many; 0: there
 * would be fewer than it needs. Otherwise as rampmeter_placer_what_if().
 *
 * Fails: as there, and E_BUFFER_TOO_SMALL. And so on: as there. Since: 0.1.
 */
rampmeter_status rampmeter_placer_place_if(struct rampmeter_placer *placer,
                                           uint64_t now_ns,
                                           const struct rampmeter_if *changes,
                                           size_t changes_len,
                                           const struct rampmeter_task *task,
                                           struct rampmeter_hold *out,
                                           size_t capacity,
                                           uint32_t *members_len,
                                           rampmeter_error *error);

/**
 * What is there in all, and what of it is free.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_fleet_stats(const struct rampmeter_placer *placer,
                                              struct rampmeter_stats_fleet *stats,
                                              rampmeter_error *error);

/**
 * What of a model of device is there; nothing of one that does not exist.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_device_model_stats(const struct rampmeter_placer *placer,
                                                     uint8_t model,
                                                     struct rampmeter_stats_device_model *stats,
                                                     rampmeter_error *error);

/**
 * Writes the handles of all nodes to the front of `out`; `*len` says how many there are. With
 * `capacity` 0 it only says that. Takes time in proportion to the nodes.
 *
 * Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_nodes(const struct rampmeter_placer *placer,
                                        uint64_t *out,
                                        size_t capacity,
                                        uint32_t *len,
                                        rampmeter_error *error);

/**
 * A node, and what of it is free.
 *
 * Fails: E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
 * changes the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_node(const struct rampmeter_placer *placer,
                                       uint64_t node,
                                       struct rampmeter_node_state *state,
                                       rampmeter_error *error);

/**
 * A device of a node, and what of it is free.
 *
 * Fails: E_STALE, E_RANGE (a device that the node does not have), E_SIZE, E_POINTER. Allocates: no.
 * Blocks: no. Threads: any number, while nobody changes the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_device(const struct rampmeter_placer *placer,
                                         uint64_t node,
                                         uint32_t device,
                                         struct rampmeter_device_state *state,
                                         rampmeter_error *error);

/**
 * Which devices of a node a member would take where nothing else is said, or what the node lacks.
 * Labels, failure domains and promises are not looked at: rampmeter_placer_why() does.
 *
 * Fails: E_STALE, E_RANGE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_choice(const struct rampmeter_placer *placer,
                                         uint64_t node,
                                         const struct rampmeter_demand *member,
                                         struct rampmeter_choice *choice,
                                         rampmeter_error *error);

/**
 * Whether nothing starts on a node and nothing is there any more: it may be taken away.
 *
 * Fails: E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_is_drained(const struct rampmeter_placer *placer,
                                             uint64_t node,
                                             uint8_t *is_drained,
                                             rampmeter_error *error);

/**
 * Whether an artifact is believed to be on a node.
 *
 * Fails: E_STALE, E_RANGE (`artifact` 0), E_POINTER. Allocates: no. Blocks: no. Threads: any
 * number, while nobody changes the placer. Since: 0.1.
 */
rampmeter_status rampmeter_placer_is_warm(const struct rampmeter_placer *placer,
                                          uint64_t node,
                                          uint32_t artifact,
                                          uint8_t *is_warm,
                                          rampmeter_error *error);

/* ================================================================================================
 * Router: which replica takes it
 *
 * A router chooses among engines that serve the same model. It predicts, for each, the seconds until
 * the first token and what the request would cost others there, and takes the cheapest. Nothing is
 * needed but rampmeter_router_route() and rampmeter_router_ended(); each of the other calls makes it
 * better: first tokens, reports of the engines, what their caches hold. Prompts are known by the
 * hashes of their blocks, the engine's own or those of rampmeter_hash_blocks().
 * `docs/policies/route.md` says how it decides.
 */

/** rampmeter_replica_spec::mode: it computes prompts and decodes. */
#define RAMPMETER_REPLICA_MIXED 0

/** It computes prompts, and hands the KV on. */
#define RAMPMETER_REPLICA_PREFILL 1

/** It decodes what others hand on. */
#define RAMPMETER_REPLICA_DECODE 2

/** rampmeter_router_status(): the replica may be chosen. */
#define RAMPMETER_REPLICA_READY 0

/** It finishes what it has and gets nothing new. */
#define RAMPMETER_REPLICA_DRAINING 1

/** It lost what it had, and gets nothing until it returns. */
#define RAMPMETER_REPLICA_FAILED 2

/** Where a replica holds the KV of a block: in memory of the device, with nothing to load. */
#define RAMPMETER_TIER_DEVICE 0

/** In memory of the host. */
#define RAMPMETER_TIER_HOST 1

/** On a local disk, or in a store that the replica can read. */
#define RAMPMETER_TIER_DISK 2

/**
 * Chooses replicas for requests. One thread at a time may change it; calls with a `const` pointer
 * may run side by side.
 */
typedef struct rampmeter_router rampmeter_router;

/**
 * Capacities of a router. Set all of it to 0, then `size`, then what is to be other than the
 * default.
 */
typedef struct rampmeter_router_options {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Replicas that may be there at once, 1 to 1,048,576; 0: 64. */
    uint32_t replicas_max;
    /** Requests that may be routed and not ended, 1 to 16,777,216; 0: 16,384. */
    uint32_t requests_max;
    /** Tokens in a block of the hashes that requests and events come with, 1 to 65,536; 0: 16. */
    uint32_t block_tokens;
    /**
     * Blocks that it can know, 1 to 2^28; 0: 2^20. As many as the caches of all replicas hold is
     * enough; with fewer, those that nobody asked for are forgotten first.
     */
    uint32_t blocks_max;
    /**
     * Sets of holders that it can know, up to 2^28; 0: 2^20. A block takes one for each 64 replicas
     * among which it has a holder.
     */
    uint32_t sets_max;
    /** Blocks of a prompt that are looked up, from its beginning, 1 to 16,777,216; 0: 8,192. */
    uint32_t prompt_blocks_max;
    /** Adapters that a replica can have loaded, 1 to 4,096; 0: 8. */
    uint32_t adapters_max;
    /** Link groups, 1 to 1,048,576; 0: 64. */
    uint32_t link_groups_max;
    /** Must be 0. */
    uint32_t reserved;
    /**
     * KV bytes of a token over all layers, which a prefill replica hands to a decode replica, 1 to
     * 2^30; 0: 131,072.
     */
    uint64_t kv_bytes_per_token;
    /** Bytes a second between replicas of one link group, 1e3 to 1e15; 0: 400e9. */
    double link_bytes_per_s;
    /** Bytes a second between replicas of two link groups, 1e3 to 1e15; 0: 50e9. */
    double network_bytes_per_s;
} rampmeter_router_options;

/** What a replica is, besides its engine. Set all of it to 0, then `size`, then what is known. */
typedef struct rampmeter_replica_spec {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Requests that may run at once, up to 16,777,216; 0: 128. */
    uint32_t running_max;
    /** Tokens that one step may compute, up to 16,777,216; 0: 2,048. */
    uint32_t step_tokens_max;
    /** RAMPMETER_REPLICA_MIXED, RAMPMETER_REPLICA_PREFILL or RAMPMETER_REPLICA_DECODE. */
    uint32_t mode;
    /** Replicas of one group reach each other over fast links; below `link_groups_max`. */
    uint32_t link_group;
    /** Must be 0. */
    uint32_t reserved;
    /** When it can begin: later than now while weights are loaded; 0: at once. */
    uint64_t ready_at_ns;
    /**
     * Seconds to load a block of the router's `block_tokens` from memory of the host, 0 to 3,600.
     */
    double host_load_s_per_block;
    /** Seconds to load such a block from a disk, 0 to 3,600. */
    double disk_load_s_per_block;
    /** Seconds to load an adapter, 0 to 3,600. */
    double adapter_load_s;
} rampmeter_replica_spec;

/** What an engine says about itself. Set all of it to 0, then `size`, then what is known. */
typedef struct rampmeter_replica_state {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Requests that have begun and not ended. */
    uint32_t running;
    /** Requests that have not begun. */
    uint32_t waiting;
    /** KV blocks that nobody holds. */
    uint32_t kv_blocks_free;
    /** When it was so, on the router's clock; not after the call that reports it. 0: now. */
    uint64_t as_of_ns;
    /** KV tokens of the running requests, up to 2^44. */
    uint64_t context_tokens;
    /**
     * Prompt tokens that are still to be computed, of waiting and running requests, up to 2^44.
     */
    uint64_t prefill_tokens;
    /**
     * 1: the field before is set; 0: the engine does not say, and the router keeps its own account.
     */
    uint8_t prefill_tokens_known;
    /** Must be 0. */
    uint8_t reserved[7];
} rampmeter_replica_state;

/** A request that is to be routed. Set all of it to 0, then `size`, then what is known. */
typedef struct rampmeter_route_request {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Place of its class in the policy. */
    uint32_t class_index;
    /** Length of the prompt, at least 1. */
    uint32_t prompt_tokens;
    /** Elements of `hashes`. */
    uint32_t hashes_len;
    /** The adapter that it needs, by any number of the host; 0: none. */
    uint64_t adapter;
    /**
     * Names of the full blocks of `block_tokens` tokens of its prompt, in order; none where nothing
     * is known.
     */
    const uint64_t *hashes;
} rampmeter_route_request;

/** Where a request goes. Set `size` before. */
typedef struct rampmeter_routed {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Prompt tokens that the replica is taken to have, or to load. */
    uint32_t cached_tokens;
    /**
     * Name of the request in the calls that tell what became of it; 0: no replica may be chosen, and
     * nothing has changed.
     */
    uint64_t request;
    /** The replica that takes it. */
    uint64_t replica;
    /** Predicted seconds until its first token. */
    double ttft_s;
    /** What was compared, in value-seconds: with what others lose. */
    double cost;
    /** Replicas that were looked at. */
    uint32_t candidates;
    /**
     * 1: no replica has reported in time; this one is the best by what was known last. A host that
     * would rather refuse ends the request with 0 tokens and turns it away.
     */
    uint8_t stale;
    /** 0. */
    uint8_t reserved[3];
} rampmeter_routed;

/** A pair of replicas for a request. Set `size` before. */
typedef struct rampmeter_routed_pair {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Prompt tokens that the prefill replica is taken to have, or to load. */
    uint32_t cached_tokens;
    /**
     * Name of the request in the calls that tell what became of it; 0: there is no pair, and nothing
     * has changed.
     */
    uint64_t request;
    /** Computes the prompt. */
    uint64_t prefill;
    /** Takes the KV over and decodes. */
    uint64_t decode;
    /** Seconds to hand the KV on; part of `ttft_s`. */
    double transfer_s;
    /** Predicted seconds until the first token is out at the decode replica. */
    double ttft_s;
    /** What was compared, in value-seconds. */
    double cost;
    /** 1: one of the two has not reported in time, and no other that does its half has. */
    uint8_t stale;
    /** 0. */
    uint8_t reserved[7];
} rampmeter_routed_pair;

/** What a choice costs, by parts, in seconds. */
typedef struct rampmeter_prices {
    /** Until the replica can begin at all. */
    double cold_start_s;
    /** Prompts that it has. */
    double queue_s;
    /** The rest of the step that runs, and steps that are planned already. */
    double step_s;
    /** Until a seat is free. */
    double seats_s;
    /** Until there is KV memory. */
    double kv_s;
    /** Loading the adapter, after those that are loaded there at present. */
    double adapter_s;
    /** Loading blocks from slower tiers. */
    double load_s;
    /** Computing the rest of the prompt, with what shares its last step. */
    double prefill_s;
    /** Handing the KV on, for a pair. */
    double transfer_s;
    /** Slowing each other down while decoding, weighted by delay values. */
    double interference_s;
    /** Who comes later waits longer, weighted by delay values. */
    double later_s;
    /** Predicted time to the first token. */
    double ttft_s;
    /** What is compared: value-seconds. */
    double cost;
    /** Prompt tokens that are not computed. */
    uint32_t cached_tokens;
    /** Means nothing. */
    uint32_t reserved;
} rampmeter_prices;

/** A replica that may be chosen, with what it would cost. */
typedef struct rampmeter_candidate {
    /** The replica. */
    uint64_t replica;
    /** What it costs, by parts. */
    struct rampmeter_prices prices;
    /** 1: its last report is too old; it is chosen only where all are. */
    uint8_t stale;
    /** Mean nothing. */
    uint8_t reserved[7];
    /** Seconds that prompts take here, over those that its step times promise. */
    double pace_ratio;
} rampmeter_candidate;

/** What a router holds, and how full it is. Set `size` before. */
typedef struct rampmeter_stats_router {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Replicas that are there, in whatever state. */
    uint32_t replicas;
    /** Replicas that may be. */
    uint32_t replicas_max;
    /** Of the replicas, those that may be chosen. */
    uint32_t replicas_ready;
    /** Requests that were routed and have not ended. */
    uint32_t requests;
    /** Requests that may be. */
    uint32_t requests_max;
    /** Blocks of prompts that it knows. */
    uint32_t blocks;
    /** Blocks that it can. */
    uint32_t blocks_max;
    /** Sets of holders in use. */
    uint32_t sets;
    /** Sets that there are. */
    uint32_t sets_max;
    /** Blocks that were forgotten for lack of room, ever. */
    uint64_t blocks_evicted;
    /** Requests that were routed, ever. */
    uint64_t decisions;
    /** Requests that ended after their first token, ever. */
    uint64_t ended;
    /** Requests a second, of about the last 200. */
    double rate_per_s;
    /** Mean tokens of an answer, of about the last 200. */
    double output_tokens_mean;
} rampmeter_stats_router;

/**
 * Creates a router without replicas, with all the memory that it will ever use.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_DUPLICATE, E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership:
 * `*out` is the caller's, to be given to rampmeter_router_destroy(); NULL on failure. `policy` and
 * `options` are read and not kept. Allocates: yes, rampmeter_router_bytes_needed(). Blocks: no.
 * Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_router_create(const rampmeter_policy *policy,
                                         const struct rampmeter_router_options *options,
                                         struct rampmeter_router **out,
                                         rampmeter_error *error);

/**
 * Ends a router. NULL is allowed and does nothing.
 *
 * Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
 */
void rampmeter_router_destroy(struct rampmeter_router *router);

/**
 * Bytes that a router for this policy with these options takes, to within a few fixed fields.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads:
 * any. Since: 0.1.
 */
rampmeter_status rampmeter_router_bytes_needed(const rampmeter_policy *policy,
                                               const struct rampmeter_router_options *options,
                                               uint64_t *bytes,
                                               rampmeter_error *error);

/**
 * Takes a changed policy: delay values and the rules of `[route]` hold from the next request on.
 *
 * Fails: E_RANGE if it has another number of classes, or more accounts than the first policy;
 * E_RANGE_REAL, E_DUPLICATE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each
 * router. Since: 0.1.
 */
rampmeter_status rampmeter_router_set_policy(struct rampmeter_router *router,
                                             const rampmeter_policy *policy,
                                             rampmeter_error *error);

/**
 * Bytes that rampmeter_router_save() will write now.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
 * router. Since: 0.1.
 */
rampmeter_status rampmeter_router_snapshot_bytes(const struct rampmeter_router *router,
                                                 uint64_t *bytes,
                                                 rampmeter_error *error);

/**
 * Writes all state into `out`; `*written` is its length. Handles of replicas and requests stay good
 * in what is restored from it.
 *
 * Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the router. Since: 0.1.
 */
rampmeter_status rampmeter_router_save(const struct rampmeter_router *router,
                                       uint8_t *out,
                                       size_t capacity,
                                       size_t *written,
                                       rampmeter_error *error);

/**
 * Creates a router from `len` bytes that rampmeter_router_save() wrote, which are believed in
 * nothing: damaged or forged ones are refused. `options` must be those that it had. KV events that
 * came meanwhile are lost: let engines tell anew what they hold, or call rampmeter_router_cleared().
 *
 * Fails: E_SNAPSHOT, and as rampmeter_router_create(). Ownership, and so on: as there. Since: 0.1.
 */
rampmeter_status rampmeter_router_restore(const rampmeter_policy *policy,
                                          const struct rampmeter_router_options *options,
                                          const uint8_t *bytes,
                                          size_t len,
                                          struct rampmeter_router **out,
                                          rampmeter_error *error);

/**
 * A replica comes; it may be chosen at once, at the price of its cold start.
 *
 * Fails: E_TIME_REVERSED, E_RANGE, E_RANGE_REAL, E_FULL (`replicas_max`), E_SIZE, E_TOO_NEW,
 * E_POINTER. `engine` and `spec` are read and not kept. Allocates: no. Blocks: no. Threads: one at a
 * time for each router. Since: 0.1.
 */
rampmeter_status rampmeter_router_add_replica(struct rampmeter_router *router,
                                              uint64_t now_ns,
                                              const rampmeter_engine *engine,
                                              const struct rampmeter_replica_spec *spec,
                                              uint64_t *replica,
                                              rampmeter_error *error);

/**
 * A report of a replica arrives: what it says replaces what was thought, and what was routed since
 * is added to it. `*is_news` is 0 if one that is no older arrived before: nothing is changed then.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no.
 * Threads: one at a time for each router. Since: 0.1.
 */
rampmeter_status rampmeter_router_report(struct rampmeter_router *router,
                                         uint64_t now_ns,
                                         uint64_t replica,
                                         const struct rampmeter_replica_state *state,
                                         uint32_t *is_news,
                                         rampmeter_error *error);

/**
 * A replica finishes what it has and gets nothing new, until rampmeter_router_resume().
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each router. Since: 0.1.
 */
rampmeter_status rampmeter_router_drain(struct rampmeter_router *router,
                                        uint64_t now_ns,
                                        uint64_t replica,
                                        rampmeter_error *error);

/**
 * A replica lost its requests and its cache, and gets nothing until rampmeter_router_resume().
 * `*requests` is how many it had: route these anew. rampmeter_router_ended() for them may be said or
 * not, except that each takes its place until then. Takes time in proportion to the known blocks.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each router. Since: 0.1.
 */
rampmeter_status rampmeter_router_fail(struct rampmeter_router *router,
                                       uint64_t now_ns,
                                       uint64_t replica,
                                       uint32_t *requests,
                                       rampmeter_error *error);

/**
 * A replica that was drained or failed may be chosen again, from `ready_at_ns` on (0: at once).
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each router. Since: 0.1.
 */
rampmeter_status rampmeter_router_resume(struct rampmeter_router *router,
                                         uint64_t now_ns,
                                         uint64_t replica,
                                         uint64_t ready_at_ns,
                                         rampmeter_error *error);

/**
 * A replica goes for good, and its requests with it: their handles and its own are stale. Of a pair,
 * one that decodes elsewhere goes on. Takes time in proportion to the known blocks and `requests_max`.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each router. Since: 0.1.
 */
rampmeter_status rampmeter_router_remove_replica(struct rampmeter_router *router,
                                                 uint64_t now_ns,
                                                 uint64_t replica,
                                                 rampmeter_error *error);

/**
 * Whether a replica may be chosen: RAMPMETER_REPLICA_READY, RAMPMETER_REPLICA_DRAINING or
 * RAMPMETER_REPLICA_FAILED.
 *
 * Fails: E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the router. Since: 0.1.
 */
rampmeter_status rampmeter_router_status(const struct rampmeter_router *router,
                                         uint64_t replica,
                                         uint32_t *status,
                                         rampmeter_error *error);

/**
 * Writes the names of the full blocks of `block_tokens` tokens to the front of `hashes`, as many as
 * fit, and how many into `*hashes_len`. Two prompts give a block the same name exactly where they
 * agree up to its end, and have the same `root`: anything that must not share, such as a number for
 * the model or the tenant. No cryptographic hash: an engine must not reuse KV by it.
 *
 * Fails: E_POINTER, E_RANGE. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_hash_blocks(uint64_t root,
                                       const uint32_t *tokens,
                                       size_t tokens_len,
                                       uint32_t block_tokens,
                                       uint64_t *hashes,
                                       size_t capacity,
                                       size_t *hashes_len,
                                       rampmeter_error *error);

/**
 * Sends a request to the cheapest replica that computes whole requests. `routed->request` is 0 if
 * none may be chosen.
 *
 * Fails: E_TIME_REVERSED, E_RANGE (class, length of the prompt), E_FULL (`requests_max`), E_SIZE,
 * E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each router.
 * Since: 0.1.
 */
rampmeter_status rampmeter_router_route(struct rampmeter_router *router,
                                        uint64_t now_ns,
                                        const struct rampmeter_route_request *request,
                                        struct rampmeter_routed *routed,
                                        rampmeter_error *error);

/**
 * Sends a request to the cheapest pair of a prefill and a decode replica. `pair->request` is 0
 * unless there is one of each. Of the calls that follow, rampmeter_router_started() and
 * rampmeter_router_first_token() are about the prompt; decoding begins with the first token.
 *
 * Fails, and so on: as rampmeter_router_route(). Since: 0.1.
 */
rampmeter_status rampmeter_router_route_pair(struct rampmeter_router *router,
                                             uint64_t now_ns,
                                             const struct rampmeter_route_request *request,
                                             struct rampmeter_routed_pair *pair,
                                             rampmeter_error *error);

/**
 * A replica began to compute the prompt of a request, and found `cached_tokens` of it.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE (beyond the prompt), E_CONTRADICTION (it had begun
 * before), E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each router. Since: 0.1.
 */
rampmeter_status rampmeter_router_started(struct rampmeter_router *router,
                                          uint64_t now_ns,
                                          uint64_t request,
                                          uint32_t cached_tokens,
                                          rampmeter_error *error);

/**
 * The first token of a request is out.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_CONTRADICTION (it was out before), E_POINTER. Allocates: no.
 * Blocks: no. Threads: one at a time for each router. Since: 0.1.
 */
rampmeter_status rampmeter_router_first_token(struct rampmeter_router *router,
                                              uint64_t now_ns,
                                              uint64_t request,
                                              rampmeter_error *error);

/**
 * A request ended, with so many tokens of answer: it was done, cancelled, or failed. Its handle is
 * stale from now on. One with an answer had its first token, said or not: where it was not, it is
 * taken to have come when it was foreseen. Say 0 tokens of one that went before its first token.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a
 * time for each router. Since: 0.1.
 */
rampmeter_status rampmeter_router_ended(struct rampmeter_router *router,
                                        uint64_t now_ns,
                                        uint64_t request,
                                        uint32_t output_tokens,
                                        rampmeter_error *error);

/**
 * A replica holds these blocks in a tier from now on (vLLM: BlockStored). From its first event on,
 * what it holds is what it tells, besides the prompts that are on their way to it: let it tell all that
 * it holds.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_RANGE (tier), E_POINTER. Allocates: no. Blocks: no. Threads:
 * one at a time for each router. Since: 0.1.
 */
rampmeter_status rampmeter_router_stored(struct rampmeter_router *router,
                                         uint64_t now_ns,
                                         uint64_t replica,
                                         uint32_t tier,
                                         const uint64_t *hashes,
                                         size_t hashes_len,
                                         rampmeter_error *error);

/**
 * A replica holds these blocks in this tier no more (vLLM: BlockRemoved).
 *
 * Fails, and so on: as rampmeter_router_stored(). Since: 0.1.
 */
rampmeter_status rampmeter_router_removed(struct rampmeter_router *router,
                                          uint64_t now_ns,
                                          uint64_t replica,
                                          uint32_t tier,
                                          const uint64_t *hashes,
                                          size_t hashes_len,
                                          rampmeter_error *error);

/**
 * A replica holds nothing any more (vLLM: AllBlocksCleared). Call it also where event numbers have a
 * gap, and ask the engine for a replay. Takes time in proportion to the known blocks.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each router. Since: 0.1.
 */
rampmeter_status rampmeter_router_cleared(struct rampmeter_router *router,
                                          uint64_t now_ns,
                                          uint64_t replica,
                                          rampmeter_error *error);

/**
 * A replica has an adapter from now on.
 *
 * Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each router. Since: 0.1.
 */
rampmeter_status rampmeter_router_adapter_loaded(struct rampmeter_router *router,
                                                 uint64_t now_ns,
                                                 uint64_t replica,
                                                 uint64_t adapter,
                                                 rampmeter_error *error);

/**
 * A replica has an adapter no more.
 *
 * Fails, and so on: as rampmeter_router_adapter_loaded(). Since: 0.1.
 */
rampmeter_status rampmeter_router_adapter_unloaded(struct rampmeter_router *router,
                                                   uint64_t now_ns,
                                                   uint64_t replica,
                                                   uint64_t adapter,
                                                   rampmeter_error *error);

/**
 * What a request would cost on every replica that computes whole requests and may be chosen, to the
 * front of `candidates`, and how many into `*candidates_len`. Routes nothing. `replicas_max`
 * elements are always enough; set each of them to 0 once before its first use, as calloc() does.
 *
 * Fails: E_BUFFER_TOO_SMALL, and as rampmeter_router_route(), but for E_FULL. Allocates: no. Blocks:
 * no. Threads: one at a time for each router. Since: 0.1.
 */
rampmeter_status rampmeter_router_explain(struct rampmeter_router *router,
                                          uint64_t now_ns,
                                          const struct rampmeter_route_request *request,
                                          struct rampmeter_candidate *candidates,
                                          size_t capacity,
                                          size_t *candidates_len,
                                          rampmeter_error *error);

/**
 * What the router holds, and how full it is.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the router. Since: 0.1.
 */
rampmeter_status rampmeter_router_stats(const struct rampmeter_router *router,
                                        struct rampmeter_stats_router *stats,
                                        rampmeter_error *error);

/* ================================================================================================
 * Outcomes: what users felt
 *
 * The books by which everything else is judged: how long users waited, whether they got what their
 * class was promised, and whether some were served at the expense of others; for each class and each
 * account. Record every request when it ends, refused ones too: a refusal counts as a miss. GPU busy
 * time is kept beside it to be shown, and for no other use: it is an effect. An account is named by
 * its place in the policy, and those opened later by any other below `limits.accounts_max`.
 * `docs/policies/outcome.md` says how each number is made.
 */

/** How a request ended: served to its last token. */
#define RAMPMETER_ENDED_COMPLETED 0

/** Turned away before it was scheduled. */
#define RAMPMETER_ENDED_REFUSED 1

/** Given up by the service, at whatever point. */
#define RAMPMETER_ENDED_FAILED 2

/** Given up by the user. */
#define RAMPMETER_ENDED_CANCELLED 3

/** Still waiting or running when the observation ended. */
#define RAMPMETER_ENDED_UNFINISHED 4

/** Whose users: those of a class, by its place in the policy. */
#define RAMPMETER_GROUP_CLASS 0

/** Those of an account, by its place. */
#define RAMPMETER_GROUP_ACCOUNT 1

/** What was felt, in nanoseconds: the wait before the first work was scheduled. */
#define RAMPMETER_FELT_QUEUE_WAIT 0

/** Time to first token. */
#define RAMPMETER_FELT_TTFT 1

/** Time per output token after the first. */
#define RAMPMETER_FELT_TPOT 2

/** From arrival to last token: job completion time. */
#define RAMPMETER_FELT_END_TO_END 3

/** Bounded slowdown, in millionths: 1,500,000 is a slowdown of 1.5. */
#define RAMPMETER_FELT_SLOWDOWN 4

/**
 * The books of what users felt. One thread at a time may change them; calls with a `const` pointer
 * may run side by side.
 */
typedef struct rampmeter_outcomes rampmeter_outcomes;

/**
 * What the books hold beyond what the policy says. Set all of it to 0, then `size`, then what is
 * known.
 */
typedef struct rampmeter_outcomes_options {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /**
     * Accounts that may be compared while they are backlogged together; 0: 64. Pairs take 8 bytes
     * each.
     */
    uint32_t backlogged_max;
    /** 1: distributions for each account, 108 KB each; 0: counts only. */
    uint8_t account_histograms;
    /** Must be 0. */
    uint8_t reserved[7];
} rampmeter_outcomes_options;

/** One request at its end. Set all of it to 0, then `size`, then what is known. */
typedef struct rampmeter_ended {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Place of its class in the policy. */
    uint32_t class_index;
    /** Place of its account. */
    uint32_t account_index;
    /** Output tokens produced. */
    uint32_t output_tokens;
    /** When it reached the service. */
    uint64_t arrival_ns;
    /** When its first token of work was scheduled; 0: never, or the host cannot know. */
    uint64_t first_scheduled_ns;
    /** When its first output token was out, or an answer that comes in one piece; 0: never. */
    uint64_t first_token_ns;
    /** When its last token was out, or when it was refused, failed, cancelled or last seen. */
    uint64_t ended_ns;
    /** RAMPMETER_ENDED_...: how it ended. */
    uint32_t status;
    /** Must be 0. */
    uint32_t reserved;
} rampmeter_ended;

/** Tokens that an account was served. Set all of it to 0, then `size`, then what is known. */
typedef struct rampmeter_work {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Must be 0. */
    uint32_t reserved;
    /** Prompt tokens computed. */
    uint64_t prompt_tokens;
    /** Prompt tokens found in the cache. */
    uint64_t cached_tokens;
    /** Tokens produced. */
    uint64_t output_tokens;
} rampmeter_work;

/** How far apart accounts were that waited together. Set `size` before. */
typedef struct rampmeter_difference {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 0. */
    uint32_t reserved;
    /** Largest difference in weighted service of any pair at any time. */
    double difference_max;
    /** Mean difference over time and pairs; 0 when no two accounts waited together. */
    double difference_mean;
    /** Seconds that pairs were backlogged together, summed over pairs. */
    double compared_pair_s;
    /** Times that an account became backlogged and was not compared, for want of room. */
    uint64_t uncompared;
} rampmeter_difference;

/** What the books say of all together. Set `size` before. */
typedef struct rampmeter_stats_outcomes {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Accounts that they are open for. */
    uint32_t accounts_max;
    /** From the first arrival, or the first time told, to the latest. */
    uint64_t span_ns;
    /** GPU busy time in all. */
    uint64_t gpu_busy_ns;
    /** Part of the span that the GPUs were busy: an effect, not a goal. */
    double utilization;
    /**
     * Jain's index over the weighted service of every account that took part; 1 when none did.
     */
    double jain;
} rampmeter_stats_outcomes;

/** How many requests of a group ended how. Set `size` before. */
typedef struct rampmeter_counts {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 0. */
    uint32_t reserved;
    /** All requests. */
    uint64_t offered;
    /** Served to the end. */
    uint64_t completed;
    /** Turned away. */
    uint64_t refused;
    /** Given up by the service. */
    uint64_t failed;
    /** Given up by the user. */
    uint64_t cancelled;
    /** Of those, given up after a target had been missed. */
    uint64_t cancelled_late;
    /** Not at their end when the observation ended. */
    uint64_t unfinished;
    /** Completed within both targets. */
    uint64_t attained;
    /** First token within the TTFT target (Apdex). */
    uint64_t satisfied;
    /** First token within four times the TTFT target (Apdex). */
    uint64_t tolerating;
    /** Output tokens produced, however the request ended. */
    uint64_t output_tokens;
    /** All but those that their users cancelled; where it is 0, the next two mean nothing. */
    uint64_t judged;
    /** Part of the judged that met both targets. */
    double attainment;
    /** Apdex of TTFT at its target. */
    double apdex;
    /** Requests that met both targets, per second of what was observed. */
    double goodput_per_s;
} rampmeter_counts;

/** A distribution of what was felt. Set `size` before. */
typedef struct rampmeter_distribution {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 0. */
    uint32_t reserved;
    /** Values recorded; where it is 0, the rest is 0, too. */
    uint64_t count;
    /** Their mean. */
    double mean;
    /** The smallest, exactly. */
    uint64_t value_min;
    /** The largest, exactly. */
    uint64_t value_max;
    /** Values below a microsecond, which are not told apart. */
    uint64_t underflow;
    /** Values of 52 days and more, which are not told apart. */
    uint64_t overflow;
} rampmeter_distribution;

/**
 * Creates empty books for the classes, accounts, costs and objectives of a policy, with all the
 * memory that they will ever use.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the
 * caller's, to be given to rampmeter_outcomes_destroy(); NULL on failure. `policy` is read and not kept.
 * Allocates: yes, rampmeter_outcomes_bytes_needed(). Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_create(const rampmeter_policy *policy,
                                           const struct rampmeter_outcomes_options *options,
                                           struct rampmeter_outcomes **out,
                                           rampmeter_error *error);

/**
 * Ends the books. NULL is allowed and does nothing.
 *
 * Allocates: no (frees). Blocks: no. Threads: one, and no other may still use them. Since: 0.1.
 */
void rampmeter_outcomes_destroy(struct rampmeter_outcomes *outcomes);

/**
 * Bytes that books for this policy and these options take, to within a few fixed fields.
 *
 * Fails: E_RANGE (a flag), E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: any.
 * Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_bytes_needed(const rampmeter_policy *policy,
                                                 const struct rampmeter_outcomes_options *options,
                                                 uint64_t *bytes,
                                                 rampmeter_error *error);

/**
 * Takes a changed policy; nothing that was recorded is lost, and it stays judged by the targets of
 * its time.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_CONTRADICTION (other numbers of classes or accounts), E_POINTER.
 * Allocates: no. Blocks: no. Threads: one at a time for each outcomes. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_set_policy(struct rampmeter_outcomes *outcomes,
                                               const rampmeter_policy *policy,
                                               rampmeter_error *error);

/**
 * Enters one request at its end. Records may come in any order.
 *
 * Fails: E_RANGE, E_CONTRADICTION (times or tokens that cannot have happened), E_SIZE, E_TOO_NEW,
 * E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each outcomes. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_record(struct rampmeter_outcomes *outcomes,
                                           const struct rampmeter_ended *ended,
                                           rampmeter_error *error);

/**
 * Adds what other books hold: for records, as if all had been entered here.
 *
 * Fails: E_CONTRADICTION (other classes, targets, accounts or options, or `other` is `outcomes`),
 * E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each outcomes, and nobody changes
 * `other`. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_merge(struct rampmeter_outcomes *outcomes,
                                          const struct rampmeter_outcomes *other,
                                          rampmeter_error *error);

/**
 * An account was served so much, all of it by `now_ns`.
 *
 * Fails: E_TIME_REVERSED, E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no.
 * Threads: one at a time for each outcomes. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_served(struct rampmeter_outcomes *outcomes,
                                           uint64_t now_ns,
                                           uint32_t account_index,
                                           const struct rampmeter_work *work,
                                           rampmeter_error *error);

/**
 * An account has requests waiting from `now_ns` on (1), or has none any more (0). Saying so twice
 * does no harm.
 *
 * Fails: E_TIME_REVERSED, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
 * for each outcomes. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_set_backlogged(struct rampmeter_outcomes *outcomes,
                                                   uint64_t now_ns,
                                                   uint32_t account_index,
                                                   uint8_t backlogged,
                                                   rampmeter_error *error);

/**
 * How far apart accounts were, up to now; what was observed reaches to now as well.
 *
 * Fails: E_TIME_REVERSED, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each outcomes. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_difference(struct rampmeter_outcomes *outcomes,
                                               uint64_t now_ns,
                                               struct rampmeter_difference *difference,
                                               rampmeter_error *error);

/**
 * What an account was served in all, and its service over its present weight.
 *
 * Fails: E_RANGE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
 * changes the outcomes. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_work(const struct rampmeter_outcomes *outcomes,
                                         uint32_t account_index,
                                         struct rampmeter_work *work,
                                         double *weighted_service,
                                         rampmeter_error *error);

/**
 * Sets the weight of an account that is opened at run time.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
 * each outcomes. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_set_weight(struct rampmeter_outcomes *outcomes,
                                               uint32_t account_index,
                                               double weight,
                                               rampmeter_error *error);

/**
 * Forgets an account, so that its place can be given to another. Its requests stay in the books of
 * their classes.
 *
 * Fails: E_TIME_REVERSED, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
 * for each outcomes. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_forget_account(struct rampmeter_outcomes *outcomes,
                                                   uint64_t now_ns,
                                                   uint32_t account_index,
                                                   rampmeter_error *error);

/**
 * Some GPU was busy for so long: an effect, kept to be shown.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each outcomes. Since:
 * 0.1.
 */
rampmeter_status rampmeter_outcomes_add_gpu_busy(struct rampmeter_outcomes *outcomes,
                                                 uint64_t busy_ns,
                                                 rampmeter_error *error);

/**
 * Jain's index of what parties got, from 1/n (one got all) to 1 (all got the same, or nobody
 * anything).
 *
 * Fails: E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_jain(const double *values,
                                size_t len,
                                double *index,
                                rampmeter_error *error);

/**
 * The time that a job took on the shared cluster over what it would have taken on its own share:
 * above 1 it would have been better off alone.
 *
 * Fails: E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_finish_time_fairness(double shared_s,
                                                double alone_s,
                                                double *ratio,
                                                rampmeter_error *error);

/**
 * What the books say of all together, on so many GPUs. Takes time in proportion to accounts.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the outcomes. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_stats(const struct rampmeter_outcomes *outcomes,
                                          uint32_t gpus,
                                          struct rampmeter_stats_outcomes *stats,
                                          rampmeter_error *error);

/**
 * How many requests of a group ended how; `group` is RAMPMETER_GROUP_..., `index` its place.
 *
 * Fails: E_RANGE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
 * changes the outcomes. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_counts(const struct rampmeter_outcomes *outcomes,
                                           uint32_t group,
                                           uint32_t index,
                                           struct rampmeter_counts *counts,
                                           rampmeter_error *error);

/**
 * How what a group felt is distributed; `felt` is RAMPMETER_FELT_...
 *
 * Fails: E_RANGE (or an account without histograms), E_SIZE, E_POINTER. Allocates: no. Blocks: no.
 * Threads: any number, while nobody changes the outcomes. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_distribution(const struct rampmeter_outcomes *outcomes,
                                                 uint32_t group,
                                                 uint32_t index,
                                                 uint32_t felt,
                                                 struct rampmeter_distribution *distribution,
                                                 rampmeter_error *error);

/**
 * Quantiles of what a group felt, to within 0.8 %: for each of `len` parts from 0 to 1 the
 * smallest value that at least that part of all do not exceed; 0 where nothing was recorded.
 *
 * Fails: E_RANGE (or an account without histograms), E_RANGE_REAL, E_POINTER. Allocates: no.
 * Blocks: no. Threads: any number, while nobody changes the outcomes. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_quantiles(const struct rampmeter_outcomes *outcomes,
                                              uint32_t group,
                                              uint32_t index,
                                              uint32_t felt,
                                              const double *parts,
                                              size_t len,
                                              uint64_t *values,
                                              rampmeter_error *error);

/**
 * Bytes that rampmeter_outcomes_save() will write now.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
 * outcomes. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_snapshot_bytes(const struct rampmeter_outcomes *outcomes,
                                                   uint64_t *bytes,
                                                   rampmeter_error *error);

/**
 * Writes all state into `out`; `*written` is its length. Where distributions hold little, that is
 * little.
 *
 * Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
 * nobody changes the outcomes. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_save(const struct rampmeter_outcomes *outcomes,
                                         uint8_t *out,
                                         size_t capacity,
                                         size_t *written,
                                         rampmeter_error *error);

/**
 * Creates books from `len` bytes that rampmeter_outcomes_save() wrote, which are believed in
 * nothing: damaged or forged ones are refused. `policy` and `options` must be those that they had,
 * as far as classes, targets, costs and `limits.accounts_max` go; take a changed policy afterwards.
 * Weights come from the snapshot.
 *
 * Fails: E_SNAPSHOT, and as rampmeter_outcomes_create(). Ownership, and so on: as there. Since: 0.1.
 */
rampmeter_status rampmeter_outcomes_restore(const rampmeter_policy *policy,
                                            const struct rampmeter_outcomes_options *options,
                                            const uint8_t *bytes,
                                            size_t len,
                                            struct rampmeter_outcomes **out,
                                            rampmeter_error *error);

/* ================================================================================================
 * Probe: what the GPUs of this machine say
 *
 * Unlike all above, this section asks the machine: it loads the driver's library at run time, calls
 * it, and reads the monotonic clock. Nothing above depends on it, and a library that is built without
 * it (`--no-default-features`) lacks its functions. A probe asks when it is told to, and its caller
 * waits. A poller is a thread, the only one that this library ever starts, and it starts only where
 * rampmeter_poller_start() is called; readers take its last snapshot and never wait. What could not
 * be read is never a zero: every reading says whether it is a value, and how old. A library with a
 * poller must not be unloaded (`dlclose`) before the poller was stopped, and never after a stop that
 * was answered with DETACHED: its thread is still in a call of the driver. Handing snapshots over
 * costs each thread that takes one some hundred bytes, once, in a thread-local; another thread has
 * them when it ends. After a fork, a child has no poller: it is told so
 * (RAMPMETER_POLLER_FORKED), and starts its own; a probe that it inherited opens the driver anew.
 * `docs/guides/probe.md` says what every figure means.
 */

/** What came of asking for a value: this device, driver or backend does not tell it. */
#define RAMPMETER_READING_UNSUPPORTED 0

/** It was read. */
#define RAMPMETER_READING_OK 1

/** It may be told, but not to this process. */
#define RAMPMETER_READING_DENIED 2

/** The call failed. */
#define RAMPMETER_READING_FAILED 3

/**
 * In what condition the driver is, and why there may be no GPU: nothing was asked yet, or nobody is to
 * be asked.
 */
#define RAMPMETER_CONDITION_OFF 0

/** It answers, and there are GPUs. */
#define RAMPMETER_CONDITION_READY 1

/** It answers, and there is no GPU: a success. */
#define RAMPMETER_CONDITION_NO_DEVICES 2

/** There is no driver library. */
#define RAMPMETER_CONDITION_NO_DRIVER 3

/** There is a library of that name which lacks the call to begin with. */
#define RAMPMETER_CONDITION_NOT_THE_DRIVER 4

/** The kernel's part is not loaded. */
#define RAMPMETER_CONDITION_DRIVER_NOT_LOADED 5

/** A toolkit's stub was found instead of the driver. */
#define RAMPMETER_CONDITION_STUB_LIBRARY 6

/** The library and the kernel's part are of different versions. */
#define RAMPMETER_CONDITION_VERSION_MISMATCH 7

/** The driver answers "unknown error" to everything: in a container, access to it was lost. */
#define RAMPMETER_CONDITION_ACCESS_LOST 8

/** This process may not use the driver. */
#define RAMPMETER_CONDITION_DENIED 9

/** The system is not ready, as before a fabric manager has run. */
#define RAMPMETER_CONDITION_NOT_READY 10

/** CUDA was not started in this process, and the probe may not start it. */
#define RAMPMETER_CONDITION_NOT_STARTED 11

/**
 * It has not answered yet. Never told by a probe; for hosts that wait for a first snapshot in vain.
 */
#define RAMPMETER_CONDITION_HANGING 12

/** The call to begin with failed otherwise; it is told, and its code. */
#define RAMPMETER_CONDITION_FAILED 13

/** Who is asked: NVIDIA's management library, which a driver brings along. */
#define RAMPMETER_BACKEND_NVML 0

/**
 * A file: JSON, as `rampmeter probe --json` writes it. For tests, and machines that are elsewhere.
 */
#define RAMPMETER_BACKEND_FIXTURE 1

/** Nobody: there is no GPU, and none is wanted. */
#define RAMPMETER_BACKEND_NONE 2

/**
 * The CUDA driver, if the host has started it itself. What it tells of memory, it tells inside of a
 * context that the host has.
 */
#define RAMPMETER_BACKEND_CUDA 3

/**
 * The same, started (`cuInit`) where the host has not: the process must not be forked afterwards, and
 * `CUDA_VISIBLE_DEVICES` counts as it is then.
 */
#define RAMPMETER_BACKEND_CUDA_START 4

/**
 * The same, and memory of each device is read in a context that is made for it: hundreds of MiB of
 * each while it is read.
 */
#define RAMPMETER_BACKEND_CUDA_CONTEXTS 5

/**
 * Groups of readings, as bits: which GPUs there are, and all about them that does not change while
 * they work.
 */
#define RAMPMETER_READ_INVENTORY 1

/** Memory. */
#define RAMPMETER_READ_MEMORY 2

/** Utilization. */
#define RAMPMETER_READ_UTILIZATION 4

/** Power, clocks, temperature, what holds clocks down, critical events. */
#define RAMPMETER_READ_CONDITION 8

/** Processes. */
#define RAMPMETER_READ_PROCESSES 16

/** Most GPUs and instances of a snapshot. */
#define RAMPMETER_GPUS_MAX 128

/** Bytes of a version, the closing zero included. */
#define RAMPMETER_VERSION_TEXT_BYTES 88

/** Who read a snapshot: nobody. */
#define RAMPMETER_SOURCE_NONE 0

/** NVIDIA's management library. */
#define RAMPMETER_SOURCE_NVML 1

/** The CUDA driver. */
#define RAMPMETER_SOURCE_CUDA 2

/** A file. */
#define RAMPMETER_SOURCE_FIXTURE 3

/** How two GPUs reach each other over PCI, nearest first: on one board. */
#define RAMPMETER_PATH_BOARD 0

/** Over one PCI switch. */
#define RAMPMETER_PATH_SWITCH 1

/** Over several PCI switches. */
#define RAMPMETER_PATH_SWITCHES 2

/** Over the host bridge of a CPU. */
#define RAMPMETER_PATH_HOST_BRIDGE 3

/** Within a NUMA node, over the link between host bridges. */
#define RAMPMETER_PATH_NODE 4

/** Over the link between CPUs. */
#define RAMPMETER_PATH_SYSTEM 5

/** The driver does not tell. */
#define RAMPMETER_PATH_UNKNOWN 6

/** Bytes of an identifier or a name, the closing zero included. */
#define RAMPMETER_GPU_TEXT_BYTES 104

/** Words of a set of CPUs. */
#define RAMPMETER_CPU_WORDS 16

/** What it is: a GPU with memory of its own. */
#define RAMPMETER_GPU_WHOLE 0

/** An instance of a GPU (MIG). */
#define RAMPMETER_GPU_INSTANCE 1

/** A GPU that shares the memory of its host. */
#define RAMPMETER_GPU_UNIFIED 2

/** Whether it can be used: as far as is known. */
#define RAMPMETER_GPU_READY 0

/** It has fallen off the bus, or cannot be reached. */
#define RAMPMETER_GPU_LOST 1

/** It works no more until it is reset. */
#define RAMPMETER_GPU_RESET_REQUIRED 2

/** An event (Xid 79) said that it has fallen off the bus. */
#define RAMPMETER_GPU_LOST_XID_79 3

/** It is counted, and this process cannot have it. */
#define RAMPMETER_GPU_UNREACHABLE 4

/** Where memory was read: the driver's current call. */
#define RAMPMETER_MEMORY_DRIVER 0

/** The driver's first call, which counts what is reserved as used. */
#define RAMPMETER_MEMORY_DRIVER_V1 1

/** Estimated: the memory of the host that is available, for a GPU that shares it. */
#define RAMPMETER_MEMORY_HOST_ESTIMATED 2

/** CUDA, inside of a context. */
#define RAMPMETER_MEMORY_CUDA_CONTEXT 3

/** What holds clocks down, as bits of NVML: nothing runs. */
#define RAMPMETER_THROTTLE_GPU_IDLE 1

/** A setting of applications. */
#define RAMPMETER_THROTTLE_APPLICATIONS_CLOCKS 2

/** The limit of power. */
#define RAMPMETER_THROTTLE_SW_POWER_CAP 4

/** Power or heat, by the hardware. */
#define RAMPMETER_THROTTLE_HW_SLOWDOWN 8

/** Another GPU of its group is slower. */
#define RAMPMETER_THROTTLE_SYNC_BOOST 16

/** Heat, by the driver. */
#define RAMPMETER_THROTTLE_SW_THERMAL 32

/** Heat, by the hardware. */
#define RAMPMETER_THROTTLE_HW_THERMAL 64

/** The power supply asked for it. */
#define RAMPMETER_THROTTLE_HW_POWER_BRAKE 128

/** A setting of the display. */
#define RAMPMETER_THROTTLE_DISPLAY_CLOCKS 256

/** Most NVLinks of a GPU. */
#define RAMPMETER_NVLINKS_MAX 18

/** What is at the other end of an NVLink: the driver does not tell. */
#define RAMPMETER_NVLINK_UNKNOWN 0

/** A GPU at the address that is told. */
#define RAMPMETER_NVLINK_GPU 1

/** A switch, which leads to all GPUs on it. */
#define RAMPMETER_NVLINK_SWITCH 2

/** Something else: a CPU, or what is newer than this library. */
#define RAMPMETER_NVLINK_OTHER 3

/** What a poller is doing: it reads at its cadence. */
#define RAMPMETER_POLLER_RUNNING 0

/** It waits for a driver call that has run for more than a second. Its snapshot ages. */
#define RAMPMETER_POLLER_HANGING 1

/** It was stopped. */
#define RAMPMETER_POLLER_ENDED 2

/** This is a forked child of the process that it runs in. Start another one here. */
#define RAMPMETER_POLLER_FORKED 3

/** How a poller was stopped: its thread has ended, and what the driver lent was given back. */
#define RAMPMETER_STOPPED_CLEAN 0

/**
 * Its thread still waits for a driver call, and ends when that returns, if ever. The library must not
 * be unloaded any more.
 */
#define RAMPMETER_STOPPED_DETACHED 1

/** This is a forked child: there was nothing to stop. */
#define RAMPMETER_STOPPED_FORKED 2

/** What is to be done about a device of a node: rampmeter_placer_fail_device(). */
#define RAMPMETER_ACTION_FAIL 0

/** rampmeter_placer_drain_device(). */
#define RAMPMETER_ACTION_DRAIN 1

/** rampmeter_placer_return_device(). */
#define RAMPMETER_ACTION_RETURN 2

/** Why: the driver lost it; rampmeter_device_change::detail is RAMPMETER_GPU_... */
#define RAMPMETER_CAUSE_LOST 0

/** The snapshot is too old: nobody knows. */
#define RAMPMETER_CAUSE_STALE 1

/** The driver does not list it, or does not give it to this process. */
#define RAMPMETER_CAUSE_MISSING 2

/** The driver does not answer; rampmeter_device_change::detail is RAMPMETER_CONDITION_... */
#define RAMPMETER_CAUSE_DRIVER 3

/** Somebody else has taken memory; rampmeter_device_change::missing_mib says how much. */
#define RAMPMETER_CAUSE_MEMORY_TAKEN 4

/** What took it out is over. */
#define RAMPMETER_CAUSE_RECOVERED 5

/** Whether CUDA's numbers can be told: yes. */
#define RAMPMETER_VISIBLE_CLEAR 0

/**
 * GPUs differ, and the fastest is first, by a measure that is not published. The host sets
 * `CUDA_DEVICE_ORDER=PCI_BUS_ID`, or asks CUDA.
 */
#define RAMPMETER_VISIBLE_FASTEST_FIRST 1

/** The address of a GPU is not known. */
#define RAMPMETER_VISIBLE_NO_ADDRESS 2

/**
 * A node of a placer and the GPUs that it is made of: it says what a node's devices are, and later
 * which of them to take out, and which to give back. It only takes back what it took out itself.
 */
typedef struct rampmeter_node_bridge rampmeter_node_bridge;

/**
 * A thread that asks about GPUs, and publishes what it read. Calls with a `const` pointer may run side
 * by side, while nobody stops or destroys it.
 */
typedef struct rampmeter_poller rampmeter_poller;

/** Asks about GPUs, in the thread of its caller. One thread at a time may use it. */
typedef struct rampmeter_probe rampmeter_probe;

/**
 * All that is known of a machine's GPUs at one moment: filled by rampmeter_probe_read(), or by
 * rampmeter_poller_latest(), and then the poller's own, which is not copied. GPUs have places, from 0;
 * instances follow their GPU. Joined with another snapshot by `uuid`, never by place. One thread at a
 * time may fill it; calls with a `const` pointer may run side by side.
 */
typedef struct rampmeter_snapshot rampmeter_snapshot;

/** What a snapshot is of, and how old. Set `size` before. */
typedef struct rampmeter_stats_snapshot {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** GPUs and instances in it, each at its place from 0 on. */
    uint32_t gpus_len;
    /** When it was taken, by rampmeter_clock_ns(). */
    uint64_t taken_at_ns;
    /**
     * How old it is now. Who publishes it may hang: what is older than some seconds is not to be
     * decided by.
     */
    uint64_t age_ns;
    /** Counts snapshots of one probe, from 1 on; 0: nothing was read yet. */
    uint64_t seq;
    /** Of the condition FAILED: the status of the call, as the driver numbers them. */
    uint32_t code;
    /** Of the condition FAILED: which call; see rampmeter_call_name(). */
    uint16_t call;
    /** RAMPMETER_CONDITION_...: why there may be no GPUs. See rampmeter_condition_reason(). */
    uint8_t condition;
    /** 1: the driver answers. */
    uint8_t is_success;
    /** RAMPMETER_SOURCE_... */
    uint8_t source;
    /** 0. */
    uint8_t reserved[3];
    /** GPUs and instances that there were no places for. */
    uint32_t gpus_left_out;
    /** Processes in it. */
    uint32_t processes_len;
    /** Version of CUDA that the driver can do, as 13000 for 13.0; 0 where it is not told. */
    uint32_t cuda_version;
    /** Version of the driver; "" where it is not told. */
    char driver_version[RAMPMETER_VERSION_TEXT_BYTES];
    /** Version of NVML; "" where it is not told. */
    char nvml_version[RAMPMETER_VERSION_TEXT_BYTES];
} rampmeter_stats_snapshot;

/** What came of asking for a value; the value stands beside it, and is 0 where there is none. */
typedef struct rampmeter_reading {
    /** Of a value: how old it is at the `now_ns` that was asked with. */
    uint64_t age_ns;
    /**
     * Of a failure: the status of the call, as the driver numbers them. 0: it claimed to succeed, and
     * its answer cannot be.
     */
    uint32_t code;
    /** Of a failure: which call; see rampmeter_call_name(). */
    uint16_t call;
    /** RAMPMETER_READING_... */
    uint8_t state;
    /** 0. */
    uint8_t reserved;
} rampmeter_reading;

/** What a GPU or an instance is, and where. Set `size` before. */
typedef struct rampmeter_gpu {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /**
     * Its number in the order of who read it. NVML numbers by PCI address, CUDA does not: join on
     * `uuid`, never on this.
     */
    uint32_t index;
    /** Its identifier, the only name that means the same everywhere. */
    char uuid[RAMPMETER_GPU_TEXT_BYTES];
    /** Its name for people. */
    char name[RAMPMETER_GPU_TEXT_BYTES];
    /** Whether its address is known. */
    struct rampmeter_reading pci;
    /** Whether its compute capability is known. */
    struct rampmeter_reading compute_capability;
    /** Whether its NUMA node is known. */
    struct rampmeter_reading numa;
    /** Whether it is known that it is cut into instances, or not. */
    struct rampmeter_reading mig;
    /** PCI domain. */
    uint32_t pci_domain;
    /** PCI bus. */
    uint8_t pci_bus;
    /** PCI device. */
    uint8_t pci_device;
    /** RAMPMETER_GPU_WHOLE, _INSTANCE or _UNIFIED. */
    uint8_t kind;
    /** RAMPMETER_GPU_READY, or why not. */
    uint8_t health;
    /** Compute capability, first number. */
    uint16_t capability_major;
    /** Second number. */
    uint16_t capability_minor;
    /** The NUMA node next to it. */
    uint32_t numa_node;
    /** Of an instance: the place of its GPU in this snapshot. */
    uint32_t parent_place;
    /** Of an instance: which GPU instance. */
    uint32_t gpu_instance;
    /** Of an instance: which compute instance within it. */
    uint32_t compute_instance;
    /** Its number in CUDA of this process. */
    uint32_t cuda_ordinal;
    /** 1: it is cut into instances. */
    uint8_t is_cut;
    /** 1: it is an instance, and `parent_place` counts. */
    uint8_t has_parent;
    /** 1: `gpu_instance` is known. */
    uint8_t gpu_instance_known;
    /** 1: `compute_instance` is known. */
    uint8_t compute_instance_known;
    /** 1: `cuda_ordinal` is known: CUDA was asked, and named it. */
    uint8_t cuda_ordinal_known;
    /** 0. */
    uint8_t reserved[11];
} rampmeter_gpu;

/** Memory of a GPU. Set `size` before. */
typedef struct rampmeter_gpu_memory {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** RAMPMETER_MEMORY_...: where it was read. */
    uint8_t basis;
    /** 1: `used_bytes` is known. */
    uint8_t used_known;
    /** 1: `driver_bytes` is known. */
    uint8_t driver_known;
    /** 0. */
    uint8_t reserved;
    /** Whether it was read. */
    struct rampmeter_reading memory;
    /** All of it. */
    uint64_t total_bytes;
    /** What can still be had: the one number to go by. */
    uint64_t free_bytes;
    /**
     * What is taken. Read by the driver's first call this contains what the driver keeps for itself;
     * otherwise drivers differ.
     */
    uint64_t used_bytes;
    /** What the driver keeps for itself. */
    uint64_t driver_bytes;
} rampmeter_gpu_memory;

/** How busy, hot and fast a GPU is, and what happened to it. Set `size` before. */
typedef struct rampmeter_gpu_load {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 0. */
    uint32_t reserved;
    /** Whether utilization was read. */
    struct rampmeter_reading utilization;
    /** Whether power was read. */
    struct rampmeter_reading power;
    /** Whether clocks were read. */
    struct rampmeter_reading clocks;
    /** Whether the temperature was read. */
    struct rampmeter_reading temperature;
    /** Whether it was read what holds clocks down. */
    struct rampmeter_reading throttle;
    /** Whether critical events are heard of. */
    struct rampmeter_reading xid;
    /** Whether processes were read; rampmeter_snapshot_processes() tells them. */
    struct rampmeter_reading processes;
    /** The window of utilization was at most so long. */
    uint64_t utilization_window_max_ns;
    /** RAMPMETER_THROTTLE_... bits, and those that this version does not know. */
    uint64_t throttle_reasons;
    /** Critical events (Xid) since the probe began. */
    uint64_t xid_count;
    /** Number of the last one; 0 before the first. */
    uint64_t xid_last;
    /** How long ago that was heard of. */
    uint64_t xid_last_age_ns;
    /** Draw, in milliwatts. */
    uint32_t power_draw_mw;
    /** What it may draw, in milliwatts. */
    uint32_t power_limit_mw;
    /** Clock of multiprocessors, in MHz. */
    uint32_t sm_clock_mhz;
    /** Clock of memory, in MHz. */
    uint32_t memory_clock_mhz;
    /** Degrees Celsius. */
    uint32_t temperature_c;
    /** Processes that are listed in the snapshot. */
    uint32_t processes_listed;
    /**
     * Processes that the driver told of; more than listed where there was no room. None does not say
     * that the GPU is idle: containers see no process identifiers.
     */
    uint32_t processes_found;
    /** Percent of the window in which a kernel ran. 100 does not say that it could do no more. */
    uint8_t utilization_pct;
    /** Percent of the window in which memory was read or written. */
    uint8_t memory_utilization_pct;
    /** 1: `power_limit_mw` is known. */
    uint8_t power_limit_known;
    /** 1: `memory_clock_mhz` is known. */
    uint8_t memory_clock_known;
    /** 1: power or heat hold it back, which an operator should look at. */
    uint8_t is_limited;
    /** 0. */
    uint8_t reserved_more[7];
} rampmeter_gpu_load;

/** The CPUs next to a GPU. Set `size` before. */
typedef struct rampmeter_gpu_cpus {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** 0. */
    uint32_t reserved;
    /** Whether they are known. */
    struct rampmeter_reading cpus;
    /** CPU `n` is bit `n % 64` of word `n / 64`. */
    uint64_t words[RAMPMETER_CPU_WORDS];
} rampmeter_gpu_cpus;

/** A process that has memory of a GPU. */
typedef struct rampmeter_gpu_process {
    /** Memory that it has. */
    uint64_t memory_bytes;
    /** Its identifier, as the driver gives it: perhaps of another namespace. */
    uint32_t pid;
    /** The GPU instance that it runs in. */
    uint32_t gpu_instance;
    /** 1: `memory_bytes` is known. */
    uint8_t memory_known;
    /** 1: `gpu_instance` is known. */
    uint8_t gpu_instance_known;
    /** 0. */
    uint8_t reserved[6];
} rampmeter_gpu_process;

/** An NVLink that is up. */
typedef struct rampmeter_nvlink {
    /** Of a GPU at its other end: PCI domain. */
    uint32_t peer_domain;
    /** PCI bus. */
    uint8_t peer_bus;
    /** PCI device. */
    uint8_t peer_device;
    /** RAMPMETER_NVLINK_...: what is at its other end. */
    uint8_t peer;
    /** Which one of the GPU. */
    uint8_t number;
    /** Version. */
    uint8_t version;
    /** 1: `version` is known. */
    uint8_t version_known;
    /** 0. */
    uint8_t reserved[2];
} rampmeter_nvlink;

/**
 * One GPU or instance, as a diagnosis reads it. Each figure stands beside its reading, and is 0 where
 * there is none: missing is not zero. Of an instance clocks, power, temperature, what slows down and
 * critical events are those of its GPU. Set `size` before.
 */
typedef struct rampmeter_signals {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** RAMPMETER_GPU_WHOLE, _INSTANCE or _UNIFIED. */
    uint8_t kind;
    /** RAMPMETER_GPU_READY, or why not. */
    uint8_t health;
    /** RAMPMETER_CONDITION_...: without READY all figures are old. */
    uint8_t condition;
    /** 1: memory is that of the host, which other programs take, too. */
    uint8_t memory_is_estimated;
    /**
     * How old the snapshot is at `now_ns`. Look at this first: nothing can be said from old figures.
     */
    uint64_t snapshot_age_ns;
    /** Its identifier. */
    char uuid[RAMPMETER_GPU_TEXT_BYTES];
    /** Of `memory_total_bytes` and `memory_free_bytes`. */
    struct rampmeter_reading memory;
    /** Of `memory_taken_ratio`. */
    struct rampmeter_reading memory_taken;
    /** Of both ratios of time, and of their window. */
    struct rampmeter_reading utilization;
    /** Of `processes_found`. */
    struct rampmeter_reading processes;
    /** Of `power_draw_w`. */
    struct rampmeter_reading power;
    /** Of `power_of_limit_ratio`. */
    struct rampmeter_reading power_of_limit;
    /** Of `temperature_c`. */
    struct rampmeter_reading temperature;
    /** Of `sm_clock_mhz`. */
    struct rampmeter_reading sm_clock;
    /** Of `memory_clock_mhz`. */
    struct rampmeter_reading memory_clock;
    /** Of `slowed_by`, `is_power_capped` and `is_clock_idle`. */
    struct rampmeter_reading throttle;
    /** Of `xid_events_count`. */
    struct rampmeter_reading xid_events;
    /** Of `xid_last_number`: unsupported before the first event; its age is that of the event. */
    struct rampmeter_reading xid_last;
    /** All of its memory. */
    uint64_t memory_total_bytes;
    /** What of it can still be had. */
    uint64_t memory_free_bytes;
    /**
     * The part that is allocated, 0 to 1. An engine that allocates its KV cache at its start stands near
     * 0.9 for ever: how full that cache is only the engine tells.
     */
    double memory_taken_ratio;
    /**
     * The part of a window in which any kernel ran, 0 to 1. At 1 most of the GPU may be idle, and low
     * values are no spare capacity.
     */
    double kernel_time_ratio;
    /**
     * The part of that window in which memory was read or written, 0 to 1: how often, not how much.
     */
    double memory_access_time_ratio;
    /** The longest that this window may have been. */
    uint64_t utilization_window_max_ns;
    /** What it draws, in watts. */
    double power_draw_w;
    /** That, of what it may draw; can be above 1 for a moment. */
    double power_of_limit_ratio;
    /**
     * RAMPMETER_THROTTLE_... that slow it down: heat, hardware slowdown, power brake. No others.
     */
    uint64_t slowed_by;
    /** Critical events (Xid) since the probe began. */
    uint64_t xid_events_count;
    /** The number of the last one. */
    uint64_t xid_last_number;
    /** Processes that the driver told of. 0 does not say that the device is idle. */
    uint32_t processes_found;
    /** Degrees Celsius. */
    uint32_t temperature_c;
    /** Clock of its multiprocessors. */
    uint32_t sm_clock_mhz;
    /** Clock of its memory. */
    uint32_t memory_clock_mhz;
    /** 1: its power is capped by software. */
    uint8_t is_power_capped;
    /** 1: the driver says that its clocks are low because nothing runs. */
    uint8_t is_clock_idle;
    /** 0. */
    uint8_t reserved[6];
} rampmeter_signals;

/**
 * How often each group of readings is read. Set all of it to 0, then `size`, then what is to be other
 * than the default. Drivers have one lock that whoever launches work waits for: shorter periods are
 * refused, and reading takes at most a quarter of the time.
 */
typedef struct rampmeter_cadence {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Must be 0. */
    uint32_t reserved;
    /** Memory, 0.1 s to a day; 0: 0.2 s. */
    uint64_t memory_ns;
    /** Utilization, 0.25 s to a day; 0: 0.5 s. */
    uint64_t utilization_ns;
    /** Power, clocks, temperature, throttle reasons and events, 1 s to a day; 0: 2 s. */
    uint64_t condition_ns;
    /** Processes, 1 s to a day; 0: 5 s. */
    uint64_t processes_ns;
    /** Which GPUs there are, 5 s to a day; 0: 60 s. */
    uint64_t inventory_ns;
    /** Until a driver that did not answer is tried again, 1 s to a day; 0: 30 s. */
    uint64_t retry_ns;
} rampmeter_cadence;

/** What a poller is doing. Set `size` before. */
typedef struct rampmeter_stats_poller {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Of HANGING: the driver call that it waits for; see rampmeter_call_name(). */
    uint16_t call;
    /** RAMPMETER_POLLER_... */
    uint8_t state;
    /** 0. */
    uint8_t reserved;
    /** Of HANGING: since when, by rampmeter_clock_ns(). */
    uint64_t since_ns;
} rampmeter_stats_poller;

/** What a GPU is to a placer: one for each place of a snapshot. All 0: the GPU is left out. */
typedef struct rampmeter_gpu_use {
    /** 1: it is a device of the node. */
    uint8_t is_used;
    /** Its model, by the host's own number for it, 0 to 63. */
    uint8_t model;
    /**
     * 1: if it is cut into instances, it is given away in partitions of `layout`; 0: then it is listed,
     * and nothing that needs memory fits on it.
     */
    uint8_t has_layout;
    /** See rampmeter_layout_named(). */
    uint8_t layout;
} rampmeter_gpu_use;

/**
 * How far a snapshot is trusted. Set all of it to 0, then `size`, then what is to be other than the
 * default.
 */
typedef struct rampmeter_node_rules {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /**
     * Memory that may be missing on a device before it is drained; 0: 1,024. Contexts that tasks have
     * beside what they asked for take up to 555 MiB each.
     */
    uint32_t slack_mib;
    /** From this age on a snapshot says nothing; 0: 3 s. */
    uint64_t stale_after_ns;
} rampmeter_node_rules;

/** What is to be done about one device, by a call of the placer. */
typedef struct rampmeter_device_change {
    /** Its node. */
    uint64_t node;
    /** Which device of the node. */
    uint32_t device;
    /** Of MEMORY_TAKEN: so much less is free than the placer believes. */
    uint32_t missing_mib;
    /** RAMPMETER_ACTION_... */
    uint8_t action;
    /** RAMPMETER_CAUSE_... */
    uint8_t cause;
    /** Of some causes: more of it. */
    uint8_t detail;
    /** 0. */
    uint8_t reserved[5];
} rampmeter_device_change;

/** How much memory may become KV cache. Set all of it to 0, then `size`. */
typedef struct rampmeter_kv_budget {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Tokens in a block, 1 to 65,536; 0: 16. */
    uint32_t kv_block_tokens;
    /** Bytes that a token takes on each device, 1 to 2^32 - 1: rampmeter_kv_bytes_per_token(). */
    uint64_t bytes_per_token;
    /** What stays free on each device. */
    uint64_t keep_free_bytes;
    /** Readings that are older say nothing; 0: 3 s. */
    uint64_t age_max_ns;
} rampmeter_kv_budget;

/** For how many blocks there is room. Set `size` before. */
typedef struct rampmeter_kv_room {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** KV blocks, for rampmeter_engine::kv_blocks; 0 where memory is not known. */
    uint32_t kv_blocks;
    /**
     * Where memory is not known: the place of the first GPU whose memory was not read, or too long ago.
     */
    uint32_t unknown_place;
    /** 1: memory of all of them is known. */
    uint8_t is_known;
    /** 0. */
    uint8_t reserved[3];
} rampmeter_kv_room;

/** Which GPUs CUDA sees. Set `size` before. */
typedef struct rampmeter_visible {
    /** Bytes of this structure as the caller knows it. */
    uint32_t size;
    /** Elements of `places`: CUDA's numbers are 0 and on. */
    uint32_t places_len;
    /**
     * Entry of the list, from 0, that names nothing here; it and those behind it count for nothing.
     */
    uint32_t ended_at;
    /** 1: there is such an entry. */
    uint8_t is_ended;
    /** RAMPMETER_VISIBLE_...: unless CLEAR, there are no places. */
    uint8_t clarity;
    /** 0. */
    uint8_t reserved[2];
} rampmeter_visible;

/**
 * A stable word for a condition, such as "no_driver"; "unknown" for any other number.
 *
 * Ownership: static, never freed. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
const char *rampmeter_condition_word(uint8_t condition);

/**
 * Why there are no GPUs, in a sentence for an operator.
 *
 * Ownership, and so on: as rampmeter_condition_word(). Since: 0.1.
 */
const char *rampmeter_condition_reason(uint8_t condition);

/**
 * What to do about it, in a sentence; "" where there is nothing to do.
 *
 * Ownership, and so on: as rampmeter_condition_word(). Since: 0.1.
 */
const char *rampmeter_condition_remedy(uint8_t condition);

/**
 * The name of a driver call in the driver's headers; "unknown" for a number that is none. Numbers
 * never change their meaning: NVML has 1 to 199, CUDA 200 to 299, the rest begins at 300.
 *
 * Ownership, and so on: as rampmeter_condition_word(). Since: 0.1.
 */
const char *rampmeter_call_name(uint16_t call);

/**
 * Creates a probe; it asks nobody yet. `backend` is RAMPMETER_BACKEND_...; `path` is the driver's
 * library for NVML (NULL: where drivers put it), the file for FIXTURE, and not looked at for others.
 *
 * Fails: E_RANGE for a backend that this library lacks, E_NAME for a fixture that cannot be read,
 * E_DOCUMENT for one that is none, E_TEXT, E_POINTER. Ownership: `*out` is the caller's, to be given to
 * rampmeter_probe_destroy(); NULL on failure. Allocates: yes, what it will need. Blocks: no, but to
 * read a fixture. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_probe_create(uint32_t backend,
                                        const char *path,
                                        struct rampmeter_probe **out,
                                        rampmeter_error *error);

/**
 * Ends a probe, and gives back what the driver lent. NULL is allowed and does nothing.
 *
 * Allocates: no (frees). Blocks: for as long as the driver takes. Threads: one, and no other may still
 * use it. Since: 0.1.
 */
void rampmeter_probe_destroy(struct rampmeter_probe *probe);

/**
 * Asks now, and fills `seen`. `groups` are RAMPMETER_READ_... bits, 0 for all; what is not among them
 * keeps its last value, which ages. A driver that is not open is opened first; what is wrong with it
 * is an answer (rampmeter_stats_snapshot::condition), not an error.
 *
 * Fails: E_RANGE, E_POINTER. Allocates: when a library is loaded and where a fixture is read; else no.
 * Blocks: for as long as the driver takes; a call that hangs is waited for. Whoever must not wait
 * starts a poller. Threads: one at a time for each probe and each snapshot. Since: 0.1.
 */
rampmeter_status rampmeter_probe_read(struct rampmeter_probe *probe,
                                      uint32_t groups,
                                      struct rampmeter_snapshot *seen,
                                      rampmeter_error *error);

/**
 * Tells each GPU in `seen` its number in CUDA of this process, joined by identifier;
 * `*condition` says whether CUDA could be asked (RAMPMETER_CONDITION_READY), or why not. What CUDA did
 * not name has no number. For probes of the CUDA backends. rampmeter_snapshot_visible() tells numbers
 * without CUDA.
 *
 * Fails: E_RANGE for a probe of another backend, E_POINTER. Allocates: no, but when the library is
 * loaded. Blocks: for as long as the driver takes. Threads: one at a time for each probe and each
 * snapshot. Since: 0.1.
 */
rampmeter_status rampmeter_probe_join(struct rampmeter_probe *probe,
                                      struct rampmeter_snapshot *seen,
                                      uint8_t *condition,
                                      rampmeter_error *error);

/**
 * Gives back what the driver lent. Reading afterwards opens it again.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: for as long as the driver takes. Threads: one at a time for
 * each probe. Since: 0.1.
 */
rampmeter_status rampmeter_probe_close(struct rampmeter_probe *probe,
                                       rampmeter_error *error);

/**
 * Now, in nanoseconds, by the clock that dates snapshots: CLOCK_MONOTONIC. What this section calls
 * `now_ns` is a time of that clock.
 *
 * Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
uint64_t rampmeter_clock_ns(void);

/**
 * Bytes that a snapshot takes. A poller takes some six times that, and a thread.
 *
 * Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
uint64_t rampmeter_snapshot_bytes_needed(void);

/**
 * Creates a snapshot with nothing in it, and room for everything.
 *
 * Fails: E_MEMORY, E_POINTER. Ownership: `*out` is the caller's, to be given to
 * rampmeter_snapshot_destroy(); NULL on failure. Allocates: yes, rampmeter_snapshot_bytes_needed(); what
 * is never written of it costs nothing. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_snapshot_create(struct rampmeter_snapshot **out,
                                           rampmeter_error *error);

/**
 * Ends a snapshot. It may outlive the poller or probe that filled it. NULL is allowed and does
 * nothing.
 *
 * Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
 */
void rampmeter_snapshot_destroy(struct rampmeter_snapshot *seen);

/**
 * What the snapshot is of, in what condition the driver was, and how old that is.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the snapshot. Since: 0.1.
 */
rampmeter_status rampmeter_snapshot_stats(const struct rampmeter_snapshot *seen,
                                          uint64_t now_ns,
                                          struct rampmeter_stats_snapshot *stats,
                                          rampmeter_error *error);

/**
 * The place of the GPU or instance with this identifier (`GPU-...` or `MIG-...`, in either case).
 *
 * Fails: E_NAME for one that is not there, E_TEXT, E_POINTER. Allocates: no, but to say which name was
 * wrong. Blocks: no. Threads: any number, while nobody changes the snapshot. Since: 0.1.
 */
rampmeter_status rampmeter_snapshot_find(const struct rampmeter_snapshot *seen,
                                         const char *uuid,
                                         uint32_t *place,
                                         rampmeter_error *error);

/**
 * How the GPUs at two places (or those that they are instances of) reach each other: over PCI as
 * RAMPMETER_PATH_..., and the NVLinks from the first to the second, or if both are on switches, as many
 * as the one with fewer has.
 *
 * Fails: E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the snapshot. Since: 0.1.
 */
rampmeter_status rampmeter_snapshot_between(const struct rampmeter_snapshot *seen,
                                            uint32_t place,
                                            uint32_t other_place,
                                            uint8_t *path,
                                            uint32_t *nvlinks,
                                            rampmeter_error *error);

/**
 * What the GPU or instance at a place is, and where. Ages are as of `now_ns`.
 *
 * Fails: E_RANGE for a place that there is not, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads:
 * any number, while nobody changes the snapshot. Since: 0.1.
 */
rampmeter_status rampmeter_snapshot_gpu(const struct rampmeter_snapshot *seen,
                                        uint64_t now_ns,
                                        uint32_t place,
                                        struct rampmeter_gpu *gpu,
                                        rampmeter_error *error);

/**
 * Memory of the GPU or instance at a place. Ages are as of `now_ns`.
 *
 * Fails, and so on: as rampmeter_snapshot_gpu(). Since: 0.1.
 */
rampmeter_status rampmeter_snapshot_memory(const struct rampmeter_snapshot *seen,
                                           uint64_t now_ns,
                                           uint32_t place,
                                           struct rampmeter_gpu_memory *memory,
                                           rampmeter_error *error);

/**
 * How busy, hot and fast the GPU at a place is, and what happened to it. Ages are as of `now_ns`.
 *
 * Fails, and so on: as rampmeter_snapshot_gpu(). Since: 0.1.
 */
rampmeter_status rampmeter_snapshot_load(const struct rampmeter_snapshot *seen,
                                         uint64_t now_ns,
                                         uint32_t place,
                                         struct rampmeter_gpu_load *load,
                                         rampmeter_error *error);

/**
 * The CPUs next to the GPU at a place. Ages are as of `now_ns`.
 *
 * Fails, and so on: as rampmeter_snapshot_gpu(). Since: 0.1.
 */
rampmeter_status rampmeter_snapshot_cpus(const struct rampmeter_snapshot *seen,
                                         uint64_t now_ns,
                                         uint32_t place,
                                         struct rampmeter_gpu_cpus *cpus,
                                         rampmeter_error *error);

/**
 * The processes that have memory of the GPU or instance at a place, to the front of `processes`, and
 * how many into `*processes_len`; with `capacity` 0 it only says that. An empty list does not say that
 * the GPU is idle; whether there is a list at all says rampmeter_gpu_load::processes.
 *
 * Fails: E_RANGE for a place that there is not, E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks:
 * no. Threads: any number, while nobody changes the snapshot. Since: 0.1.
 */
rampmeter_status rampmeter_snapshot_processes(const struct rampmeter_snapshot *seen,
                                              uint32_t place,
                                              struct rampmeter_gpu_process *processes,
                                              size_t capacity,
                                              uint32_t *processes_len,
                                              rampmeter_error *error);

/**
 * The NVLinks of the GPU at a place that are up, to the front of `nvlinks`, how many into
 * `*nvlinks_len`, and whether they were read into `*reading`, with its age as of `now_ns`. With
 * `capacity` 0 it tells only the latter two.
 *
 * Fails, and so on: as rampmeter_snapshot_processes(). Since: 0.1.
 */
rampmeter_status rampmeter_snapshot_nvlinks(const struct rampmeter_snapshot *seen,
                                            uint64_t now_ns,
                                            uint32_t place,
                                            struct rampmeter_nvlink *nvlinks,
                                            size_t capacity,
                                            uint32_t *nvlinks_len,
                                            struct rampmeter_reading *reading,
                                            rampmeter_error *error);

/**
 * The GPU or instance at a place, as a diagnosis reads it. Ages are as of `now_ns`.
 *
 * Fails, and so on: as rampmeter_snapshot_gpu(). Since: 0.1.
 */
rampmeter_status rampmeter_snapshot_signals(const struct rampmeter_snapshot *seen,
                                            uint64_t now_ns,
                                            uint32_t place,
                                            struct rampmeter_signals *signals,
                                            rampmeter_error *error);

/**
 * By how much the clock of the multiprocessors of a GPU fell from one snapshot to a later one, as a part
 * of what it was, 0 to 1; 0 where it rose. `is_known` is 0 where that cannot be told: another GPU
 * stands at the place in `before`, its clock was not read anew in between, or the driver does not say
 * that it was busy both times (a clock that is low because nothing runs is not throttled).
 *
 * Fails: E_RANGE for a place that one of them lacks; E_POINTER. Allocates: no. Blocks: no. Threads: any
 * number, while nobody changes the snapshots. Since: 0.1.
 */
rampmeter_status rampmeter_snapshot_sm_clock_drop(const struct rampmeter_snapshot *seen,
                                                  const struct rampmeter_snapshot *before,
                                                  uint64_t now_ns,
                                                  uint32_t place,
                                                  double *drop_ratio,
                                                  uint8_t *is_known,
                                                  rampmeter_error *error);

/**
 * Starts a thread that asks this backend (as rampmeter_probe_create()) at this cadence. It takes no
 * signals but those that a fault of its own raises, so that no handler of the host runs on it; it is
 * called "rampmeter-probe". It has asked once when rampmeter_poller_wait_first() says so.
 *
 * Fails: E_RANGE for periods outside of their ranges, E_FULL if the system gives no thread, E_MEMORY,
 * E_SIZE, E_TOO_NEW, and as rampmeter_probe_create(). Ownership: `*out` is the caller's, to be given to
 * rampmeter_poller_destroy(); NULL on failure. `cadence` is read and not kept. Allocates: yes, all that
 * it will need, as long as no more than three old snapshots are held. Blocks: no, but to read a fixture.
 * Threads: any; starts one. Since: 0.1.
 */
rampmeter_status rampmeter_poller_start(uint32_t backend,
                                        const char *path,
                                        const struct rampmeter_cadence *cadence,
                                        struct rampmeter_poller **out,
                                        rampmeter_error *error);

/**
 * Ends a poller, and stops it if nobody did, for which it waits a quarter of a second. What was taken
 * from it can still be read. NULL is allowed and does nothing.
 *
 * Allocates: no (frees). Blocks: a quarter of a second at most. Threads: one, and no other may still
 * use it. Since: 0.1.
 */
void rampmeter_poller_destroy(struct rampmeter_poller *poller);

/**
 * Waits until something was read, at most so long; `*is_read` is 1 if it was.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: for `patience_ns` at most. Threads: any number, while nobody
 * stops the poller. Since: 0.1.
 */
rampmeter_status rampmeter_poller_wait_first(const struct rampmeter_poller *poller,
                                             uint64_t patience_ns,
                                             uint8_t *is_read,
                                             rampmeter_error *error);

/**
 * Makes `seen` the last snapshot, which it holds until it is given another. Nothing is copied. Before
 * the first one that is an empty one, with `seq` 0.
 *
 * Fails: E_POINTER. Allocates: some hundred bytes the first time that a thread calls this, unless one
 * that has ended left them; then no. Blocks: no. Threads: any number for each poller, one at a time for
 * each snapshot. Since: 0.1.
 */
rampmeter_status rampmeter_poller_latest(const struct rampmeter_poller *poller,
                                         struct rampmeter_snapshot *seen,
                                         rampmeter_error *error);

/**
 * What the poller is doing, and which driver call it waits for.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no (one system call). Threads: any number, while
 * nobody stops the poller. Since: 0.1.
 */
rampmeter_status rampmeter_poller_stats(const struct rampmeter_poller *poller,
                                        uint64_t now_ns,
                                        struct rampmeter_stats_poller *stats,
                                        rampmeter_error *error);

/**
 * Stops the thread, and waits for the driver call that runs, at most so long; `*stopped` is
 * RAMPMETER_STOPPED_... What was read can still be taken. A poller that was stopped is CLEAN the next
 * time, whatever it was before.
 *
 * Fails: E_POINTER. Allocates: no (frees). Blocks: for `patience_ns` at most. Threads: one at a time for
 * each poller. Since: 0.1.
 */
rampmeter_status rampmeter_poller_stop(struct rampmeter_poller *poller,
                                       uint64_t patience_ns,
                                       uint8_t *stopped,
                                       rampmeter_error *error);

/**
 * Creates a bridge for a node of the GPUs in `seen`, 16 at most: `uses` has one element for each place,
 * and those beyond `uses_len` are left out. Then rampmeter_node_bridge_devices() says what to add to
 * the placer, and rampmeter_node_bridge_attach() takes its answer.
 *
 * Fails: E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the caller's, to be given to
 * rampmeter_node_bridge_destroy(); NULL on failure. The rest is read and not kept. Allocates: yes, some
 * 4 KiB. Blocks: no. Threads: any number, while nobody changes the snapshot. Since: 0.1.
 */
rampmeter_status rampmeter_node_bridge_create(const struct rampmeter_snapshot *seen,
                                              const struct rampmeter_gpu_use *uses,
                                              size_t uses_len,
                                              const struct rampmeter_node_rules *rules,
                                              struct rampmeter_node_bridge **out,
                                              rampmeter_error *error);

/**
 * Ends a bridge. NULL is allowed and does nothing.
 *
 * Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
 */
void rampmeter_node_bridge_destroy(struct rampmeter_node_bridge *bridge);

/**
 * The node's devices, for rampmeter_node::devices, to the front of `devices`, and how many into
 * `*devices_len`: memory without what the driver keeps for itself, NUMA node, and one link group for
 * those that NVLink joins. 16 elements are always enough.
 *
 * Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
 * changes the bridge. Since: 0.1.
 */
rampmeter_status rampmeter_node_bridge_devices(const struct rampmeter_node_bridge *bridge,
                                               rampmeter_device *devices,
                                               size_t capacity,
                                               uint32_t *devices_len,
                                               rampmeter_error *error);

/**
 * The identifier of a device of the node, with a closing zero; `*len` is its length without that. With
 * `capacity` 0 it only tells the length; RAMPMETER_GPU_TEXT_BYTES are always enough.
 *
 * Fails: E_RANGE for a device that the node does not have, E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no.
 * Blocks: no. Threads: any number, while nobody changes the bridge. Since: 0.1.
 */
rampmeter_status rampmeter_node_bridge_uuid(const struct rampmeter_node_bridge *bridge,
                                            uint32_t device,
                                            char *out,
                                            size_t capacity,
                                            size_t *len,
                                            rampmeter_error *error);

/**
 * Which node of the placer this is, from now on: what rampmeter_placer_add_node() answered. Nothing of
 * it counts as taken out.
 *
 * Fails: E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each bridge. Since: 0.1.
 */
rampmeter_status rampmeter_node_bridge_attach(struct rampmeter_node_bridge *bridge,
                                              uint64_t node,
                                              rampmeter_error *error);

/**
 * What is to be done about the node's devices by this snapshot, to the front of `changes`, and how many
 * into `*changes_len`; 16 elements are always enough. Lost: fail. The snapshot is too old, the driver
 * does not answer or does not list the device, or memory is gone: drain. None of these any more: return.
 * The host makes the calls before it asks again; what the host took out itself is left as it is.
 *
 * Fails: E_STALE if there is no such node, E_BUFFER_TOO_SMALL, E_POINTER; nothing has changed then.
 * Allocates: no. Blocks: no. Threads: one at a time for each bridge, while nobody changes snapshot and
 * placer. Since: 0.1.
 */
rampmeter_status rampmeter_node_bridge_changes(struct rampmeter_node_bridge *bridge,
                                               uint64_t now_ns,
                                               const struct rampmeter_snapshot *seen,
                                               const rampmeter_placer *placer,
                                               struct rampmeter_device_change *changes,
                                               size_t capacity,
                                               uint32_t *changes_len,
                                               rampmeter_error *error);

/**
 * Bytes of KV that one token takes on each device of an engine: layers with attention, heads of keys in
 * each, values of a head, bytes of a value (2 for bf16, 1 for fp8), devices that share every layer.
 * Saturating.
 *
 * Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
uint64_t rampmeter_kv_bytes_per_token(uint32_t layers,
                                      uint32_t kv_heads,
                                      uint32_t head_size,
                                      uint32_t bytes_per_value,
                                      uint32_t tensor_parallel);

/**
 * Free memory as blocks of a KV cache: so many as each of these GPUs, one for each part of the model,
 * has room for, beside what is to stay free. Weights are to be loaded before. `unknown_place` and
 * `is_known` of the answer say where memory is not known; that is no error.
 *
 * Fails: E_RANGE for a place that there is not, an empty list, numbers outside their ranges, and where
 * there is no room for a block (`kv_blocks` = 0); E_SIZE, E_TOO_NEW, E_POINTER. Allocates: a list as long
 * as `places`, and frees it. Blocks: no. Threads: any number, while nobody changes the snapshot.
 * Since: 0.1.
 */
rampmeter_status rampmeter_snapshot_kv_room(const struct rampmeter_snapshot *seen,
                                            uint64_t now_ns,
                                            const struct rampmeter_kv_budget *budget,
                                            const uint32_t *places,
                                            size_t places_len,
                                            struct rampmeter_kv_room *kv_room,
                                            rampmeter_error *error);

/**
 * Which GPUs a CUDA process sees that has these values of `CUDA_DEVICE_ORDER` and `CUDA_VISIBLE_DEVICES`
 * in its environment (NULL: not set), by places in the order of CUDA's numbers. CUDA is not asked, nor
 * is the environment read: hosts hand in what getenv() says. RAMPMETER_GPUS_MAX places are always enough.
 *
 * Fails: E_BUFFER_TOO_SMALL, E_TEXT, E_SIZE, E_POINTER. Allocates: lists as long as there are GPUs, and
 * frees them. Blocks: no. Threads: any number, while nobody changes the snapshot. Since: 0.1.
 */
rampmeter_status rampmeter_snapshot_visible(const struct rampmeter_snapshot *seen,
                                            const char *device_order,
                                            const char *visible_devices,
                                            uint32_t *places,
                                            size_t capacity,
                                            struct rampmeter_visible *found,
                                            rampmeter_error *error);

#ifdef __cplusplus
}
#endif

#endif

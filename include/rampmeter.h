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
 * After an error nothing has changed, neither in the object nor in memory of the caller. To turn
 * work away is an answer, not an error.
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
 * grows later: full is an answer.
 *
 * Threads. Objects are independent of each other: there are no globals, no thread-locals, no locks,
 * no threads. Calls with a `const` object may run side by side; any other needs that object alone.
 * An object may be created, used and destroyed on different threads.
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

/** A policy document is wrong; the text of the error names the line, the key and the range. */
#define RAMPMETER_STATUS_E_DOCUMENT (-11)

/** A pointer is NULL or not aligned. */
#define RAMPMETER_STATUS_E_POINTER (-64)

/** The `size` of a structure is not set, or smaller than that of its first version. */
#define RAMPMETER_STATUS_E_SIZE (-65)

/** The caller was built with a newer header and sets fields that this library does not know. */
#define RAMPMETER_STATUS_E_TOO_NEW (-66)

/** Nothing has the name that was given. */
#define RAMPMETER_STATUS_E_NAME (-67)

/** A text is not UTF-8. */
#define RAMPMETER_STATUS_E_TEXT (-68)

/** The system has not as much memory as the object needs; the text of the error says how much. */
#define RAMPMETER_STATUS_E_MEMORY (-69)

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
 * It must come back by returning, and must not call anything for the same batcher.
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
 * What one copy charged to one account in one class: send it to the others as it is. Amounts in
 * prompt tokens as charged, not divided by weight, `began <= told <= served`.
 */
typedef struct rampmeter_delta_entry {
    /** Key of the account, not 0. */
    uint64_t key;
    /** Class. */
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
 * them. Its KV cache must be that of the batcher.
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
                                         struct rampmeter_delta_entry *entries,
                                         size_t capacity,
                                         struct rampmeter_delta *delta,
                                         rampmeter_error *error);

/**
 * Takes what another copy told: from the next step on it counts as service received. In any order,
 * once or often. Read `replica` and `incarnation` of `delta`; the rest of it is not looked at.
 *
 * Fails: E_RANGE, E_RANGE_REAL, E_CONTRADICTION, E_FULL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates:
 * no. Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
 */
rampmeter_status rampmeter_batcher_merge(struct rampmeter_batcher *batcher,
                                         const struct rampmeter_delta *delta,
                                         const struct rampmeter_delta_entry *entries,
                                         size_t len,
                                         struct rampmeter_merged *merged,
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
 * fixed; E_RANGE_REAL, E_CONTRADICTION (an account has another parent), E_POINTER. Allocates: no.
 * Blocks: no. Threads: one at a time for each gate. Since: 0.1.
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
 * Whose turn it is among those that wait; `*ticket` is 0 if nobody does. It stays in line until it
 * is dequeued. A host may have an order of its own instead; what is promised to classes is then its
 * own, too.
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
 * Fails: E_TIME_REVERSED, E_STALE, E_CONTRADICTION (it runs), E_SIZE, E_POINTER. Allocates: no.
 * Blocks: no. Threads: one at a time for each gate. Since: 0.1.
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
 * nothing comes.
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
 * infinite where not even 65,536 do.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
 * the desk. Since: 0.1.
 */
rampmeter_status rampmeter_headroom_replicas_needed(const struct rampmeter_headroom *headroom,
                                                    struct rampmeter_estimate *replicas,
                                                    rampmeter_error *error);

/**
 * Whether one replica can be taken away.
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
    /** 1: no replica has reported in time; this one is the best by what was known last. */
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
    /** The rest of the step that runs. */
    double step_s;
    /** Until a seat is free. */
    double seats_s;
    /** Until there is KV memory. */
    double kv_s;
    /** Loading the adapter. */
    double adapter_s;
    /** Loading blocks from slower tiers. */
    double load_s;
    /** Computing the rest of the prompt. */
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
 * A replica goes for good; its handle is stale. Takes time in proportion to the known blocks.
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
 * stale from now on.
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
 * what it holds is what it tells, besides the prompts that are on their way to it.
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

#ifdef __cplusplus
}
#endif

#endif

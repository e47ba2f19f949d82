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
 * E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the caller's, to be given to
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
 * Ledger: who deserves it
 *
 * As much of the ledger as the placer needs.
 */

/** Kinds of resource that a ledger can have. */
#define RAMPMETER_RESOURCES_MAX 8

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

/**
 * An amount of each resource, in the smallest unit of each (milli-GPU, MiB...), at most 2^62; 0
 * for resources that are not there.
 */
typedef struct rampmeter_amounts {
    /** By number of the resource. */
    uint64_t of[RAMPMETER_RESOURCES_MAX];
} rampmeter_amounts;

/**
 * The parts that a policy says something about.
 *
 * Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
 */
rampmeter_status rampmeter_ledger_policy_options(const rampmeter_policy *policy,
                                                 struct rampmeter_ledger_options *options,
                                                 rampmeter_error *error);

/**
 * Creates a ledger with the accounts of a policy open.
 *
 * Fails: E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the caller's, to be given to
 * rampmeter_ledger_destroy(); NULL on failure. Allocates: yes. Blocks: no. Threads: any. Since: 0.1.
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
 * Tells the ledger how much of each resource there is.
 *
 * Fails: E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each ledger.
 * Since: 0.1.
 */
rampmeter_status rampmeter_ledger_set_capacity(struct rampmeter_ledger *ledger,
                                               const struct rampmeter_amounts *capacity,
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

/** More wait before it than were looked at: it is the earliest that it can be. */
#define RAMPMETER_EXPECTED_MANY_BEFORE 3

/** Whoever is in its way did not say how long it runs: no time is known. */
#define RAMPMETER_EXPECTED_UNKNOWN 4

/** It would not find room if nothing else ran. */
#define RAMPMETER_EXPECTED_NEVER_FITS 5

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
    /** Slowing others down, and being slowed down. */
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
    /** 0. */
    uint8_t reserved[6];
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
 * E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the caller's, to be given to
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
 * costs is worked out anew from the task mix: the next prices may differ a little from those that
 * the saved one would have had.
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

#ifdef __cplusplus
}
#endif

#endif

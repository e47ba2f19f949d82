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

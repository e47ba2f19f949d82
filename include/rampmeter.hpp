// rampmeter for C++11 and later: objects that end themselves, structures that know their size.
//
// One unique_ptr thick and nothing more: every call is the one of rampmeter.h, where its manual is.
// Nothing here throws, allocates, or can be out of step with the library.
//
//     rampmeter::Error error;
//     rampmeter::Policy policy;
//     if (rampmeter_policy_preset("balanced", policy.out(), error.out()) != RAMPMETER_STATUS_OK)
//         return complain(error.text());
//     auto engine = rampmeter::sized<rampmeter_engine>();
#ifndef RAMPMETER_HPP
#define RAMPMETER_HPP

#include <memory>
#include <type_traits>

#include "rampmeter.h"

namespace rampmeter {

// An object of the library: ended when it goes out of scope, moved but not copied.
template <typename Raw, void (*Destroy)(Raw *)>
class Owned {
    struct End {
        void operator()(Raw *raw) const noexcept { Destroy(raw); }
    };
    std::unique_ptr<Raw, End> raw_;

    // Takes what a create call has written when the call is over.
    class Out {
        std::unique_ptr<Raw, End> &owner_;
        Raw *raw_ = nullptr;

    public:
        Out(std::unique_ptr<Raw, End> &owner) noexcept : owner_(owner) {}
        Out(const Out &) = delete;
        Out &operator=(const Out &) = delete;
        ~Out() { owner_.reset(raw_); }
        operator Raw **() noexcept { return &raw_; }
    };

public:
    Owned() noexcept = default;
    // From a create call of rampmeter.h; the object is owned from here on.
    explicit Owned(Raw *raw) noexcept : raw_(raw) {}

    Raw *get() const noexcept { return raw_.get(); }
    explicit operator bool() const noexcept { return static_cast<bool>(raw_); }
    // For the `out` argument of a create call: what was owned before is ended when the call is over.
    Out out() noexcept { return {raw_}; }
    void reset() noexcept { raw_.reset(); }
    // Gives the object away.
    Raw *release() noexcept { return raw_.release(); }
};

using Policy = Owned<rampmeter_policy, rampmeter_policy_destroy>;
using Batcher = Owned<rampmeter_batcher, rampmeter_batcher_destroy>;
using Dynamic = Owned<rampmeter_dynamic, rampmeter_dynamic_destroy>;
using Gate = Owned<rampmeter_gate, rampmeter_gate_destroy>;
using Headroom = Owned<rampmeter_headroom, rampmeter_headroom_destroy>;
using Reserve = Owned<rampmeter_reserve, rampmeter_reserve_destroy>;
using ShadowPrice = Owned<rampmeter_shadow_price, rampmeter_shadow_price_destroy>;
using Ledger = Owned<rampmeter_ledger, rampmeter_ledger_destroy>;
using Placer = Owned<rampmeter_placer, rampmeter_placer_destroy>;
using Router = Owned<rampmeter_router, rampmeter_router_destroy>;
using Outcomes = Owned<rampmeter_outcomes, rampmeter_outcomes_destroy>;
using Probe = Owned<rampmeter_probe, rampmeter_probe_destroy>;
using Poller = Owned<rampmeter_poller, rampmeter_poller_destroy>;
using Snapshot = Owned<rampmeter_snapshot, rampmeter_snapshot_destroy>;
using NodeBridge = Owned<rampmeter_node_bridge, rampmeter_node_bridge_destroy>;

static_assert(sizeof(Policy) == sizeof(void *), "as thick as a pointer");

// What was wrong with a call.
class Error {
    rampmeter_error raw_{};

public:
    // For the `error` argument of any call.
    rampmeter_error *out() noexcept { return &raw_; }
    rampmeter_status status() const noexcept { return raw_.status; }
    const char *text() const noexcept { return raw_.text; }
};

// A structure that begins with its size, all else 0.
template <typename T>
T sized() noexcept {
    static_assert(std::is_trivial<T>::value && sizeof(T{}.size) == 4, "a structure of rampmeter.h");
    T value{};
    value.size = static_cast<uint32_t>(sizeof(T));
    return value;
}

}  // namespace rampmeter

#endif

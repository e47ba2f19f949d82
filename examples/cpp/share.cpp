// Whose request is next: a ledger in front of a queue of the host's own, with an account for each
// tenant that is opened when it first comes.
#include <cstdio>
#include <deque>
#include <map>
#include <string>
#include <utility>

#include <rampmeter.hpp>

namespace {

constexpr uint32_t lane = 0;

// What waits, by tenant, and the ledger that says whose turn it is.
class FairQueue {
    struct Tenant {
        uint64_t account;
        std::deque<double> tokens;
    };
    rampmeter::Ledger ledger_;
    std::map<std::string, Tenant> tenants_;

public:
    explicit FairQueue(rampmeter::Ledger ledger) : ledger_(std::move(ledger)) {}

    rampmeter_status push(const std::string &name, double weight, double tokens,
                          rampmeter::Error &error) {
        auto found = tenants_.find(name);
        if (found == tenants_.end()) {
            uint64_t account = 0;
            const auto status = rampmeter_ledger_open(ledger_.get(), 0, weight, &account, error.out());
            if (status != RAMPMETER_STATUS_OK) return status;
            found = tenants_.emplace(name, Tenant{account, {}}).first;
        }
        found->second.tokens.push_back(tokens);
        // One more of this account waits.
        return rampmeter_ledger_arrive(ledger_.get(), lane, found->second.account, error.out());
    }

    // The next tenant's name; empty when nobody waits.
    rampmeter_status pop(std::string &name, rampmeter::Error &error) {
        rampmeter_eligible next[1];
        size_t len = 0;
        auto status =
            rampmeter_ledger_eligible(ledger_.get(), lane, 0.0, next, 1, &len, error.out());
        name.clear();
        if (status != RAMPMETER_STATUS_OK || len == 0) return status;
        for (auto &entry : tenants_) {
            if (entry.second.account != next[0].account) continue;
            name = entry.first;
            const double tokens = entry.second.tokens.front();
            entry.second.tokens.pop_front();
            status = rampmeter_ledger_charge(ledger_.get(), lane, entry.second.account, tokens,
                                             error.out());
            if (status != RAMPMETER_STATUS_OK) return status;
            return rampmeter_ledger_depart(ledger_.get(), lane, entry.second.account, error.out());
        }
        return status;
    }
};

int fail(const char *what, const rampmeter::Error &error) {
    std::fprintf(stderr, "%s: %s\n", what, error.text());
    return 1;
}

}  // namespace

int main() {
    rampmeter::Error error;
    rampmeter::Ledger ledger;
    auto options = rampmeter::sized<rampmeter_ledger_options>();
    options.accounts_max = 16;
    options.lanes = 1;
    if (rampmeter_ledger_create(&options, ledger.out(), error.out())) return fail("ledger", error);

    // Two tenants with as much work each; blue has paid for twice the share.
    FairQueue queue(std::move(ledger));
    for (int i = 0; i < 30; i++) {
        if (queue.push("red", 1.0, 100.0, error) || queue.push("blue", 2.0, 100.0, error)) {
            return fail("push", error);
        }
    }
    std::map<std::string, int> served;
    for (int i = 0; i < 30; i++) {
        std::string name;
        if (queue.pop(name, error)) return fail("pop", error);
        served[name]++;
    }
    std::printf("red %d, blue %d of the first 30\n", served["red"], served["blue"]);
    return served["red"] == 10 && served["blue"] == 20 ? 0 : 1;
}

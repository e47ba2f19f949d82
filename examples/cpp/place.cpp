// A placer over two nodes as a C++ scheduler embeds it: its own record of what runs, objects that
// end themselves, and a snapshot that outlives the process.
#include <cstdio>
#include <map>
#include <utility>
#include <vector>

#include <rampmeter.hpp>

namespace {

constexpr uint64_t second_ns = 1000000000;

// What the host knows of a task that runs: where its members are.
using Running = std::map<uint64_t, std::vector<rampmeter_hold>>;

rampmeter_task whole_devices(uint8_t count) {
    auto task = rampmeter::sized<rampmeter_task>();
    task.member.device_kind = RAMPMETER_DEVICES_WHOLE;
    task.member.device_count = count;
    return task;
}

class Scheduler {
    rampmeter::Placer placer_;
    Running running_;

public:
    explicit Scheduler(rampmeter::Placer placer) : placer_(std::move(placer)) {}

    const Running &running() const { return running_; }
    rampmeter_placer *raw() const { return placer_.get(); }

    // The task's handle, or 0 where there is no room for it: that is an answer, not an error.
    rampmeter_status start(uint64_t now_ns, const rampmeter_task &task, uint64_t &started,
                           rampmeter::Error &error) {
        std::vector<rampmeter_hold> holds(task.members ? task.members : 1);
        auto placed = rampmeter::sized<rampmeter_placed>();
        const auto status = rampmeter_placer_place(placer_.get(), now_ns, &task, holds.data(),
                                                   holds.size(), &placed, error.out());
        if (status == RAMPMETER_STATUS_OK) {
            started = placed.task;
            if (started) running_[started] = std::move(holds);
        }
        return status;
    }

    rampmeter_status end(uint64_t now_ns, uint64_t task, rampmeter::Error &error) {
        const auto status = rampmeter_placer_release(placer_.get(), now_ns, task, error.out());
        if (status == RAMPMETER_STATUS_OK) running_.erase(task);
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
    rampmeter::Policy policy;
    rampmeter::Placer placer;
    auto options = rampmeter::sized<rampmeter_placer_options>();
    options.nodes_max = 8;
    options.tasks_max = 32;
    options.members_max = 32;
    // What `out()` takes is owned at the end of the statement, so one call in each.
    if (rampmeter_policy_preset("balanced", policy.out(), error.out())) return fail("policy", error);
    if (rampmeter_placer_create(policy.get(), &options, placer.out(), error.out())) {
        return fail("placer", error);
    }
    rampmeter_device device{};
    device.memory_mib = 81920;
    const std::vector<rampmeter_device> devices(4, device);
    for (int at = 0; at < 2; at++) {
        auto node = rampmeter::sized<rampmeter_node>();
        node.devices = devices.data();
        node.devices_len = static_cast<uint32_t>(devices.size());
        uint64_t added = 0;
        if (rampmeter_placer_add_node(placer.get(), &node, &added, error.out())) {
            return fail("node", error);
        }
    }

    // Two tasks take all of both nodes; the third finds no room until one of them ends.
    Scheduler scheduler(std::move(placer));
    uint64_t first = 0, second = 0, third = 0;
    if (scheduler.start(1 * second_ns, whole_devices(4), first, error) ||
        scheduler.start(1 * second_ns, whole_devices(4), second, error) ||
        scheduler.start(2 * second_ns, whole_devices(1), third, error)) {
        return fail("start", error);
    }
    if (!first || !second || third || scheduler.running().size() != 2) return 1;
    if (scheduler.end(3 * second_ns, first, error) ||
        scheduler.start(3 * second_ns, whole_devices(1), third, error)) {
        return fail("start again", error);
    }
    if (!third || scheduler.running().at(third).front().devices == 0) return 1;

    // Saved and restored: handles name what they named.
    uint64_t bytes_needed = 0;
    if (rampmeter_placer_snapshot_bytes(scheduler.raw(), &bytes_needed, error.out())) {
        return fail("snapshot", error);
    }
    std::vector<uint8_t> bytes(bytes_needed);
    size_t written = 0;
    rampmeter::Placer restored;
    if (rampmeter_placer_save(scheduler.raw(), bytes.data(), bytes.size(), &written, error.out()) ||
        rampmeter_placer_restore(policy.get(), &options, bytes.data(), written, restored.out(),
                                 error.out())) {
        return fail("restore", error);
    }
    Scheduler next(std::move(restored));
    if (next.end(4 * second_ns, second, error)) return fail("end", error);
    if (next.end(4 * second_ns, first, error) != RAMPMETER_STATUS_E_STALE) return 1;
    std::printf("%s\n", error.text());
    return 0;
}

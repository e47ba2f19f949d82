/* What a host that means well fills in: without it, calls that need ten numbers to be right at once
 * would never get past the first check. fuzz_calls.py finds these by their names, and calls them for
 * most of what it draws; for the rest everything stays as drawn. */

/* 0, which most of the time says nothing, in place of what was drawn. */
#include <string.h>

#define LEAVE(field) do { if (!one_in(12)) (field) = 0; } while (0)
#define WITHIN(field, least, most) ((field) = (least) + below((most) - (least) + 1))

/* Of an 8B model; often with so little KV that requests lose theirs. */
static void good_rampmeter_engine(rampmeter_engine *it) {
    static const double seconds[] = {6.4e-3, 4.1e-5, 3.2e-5, 1.3e-8, 1.5e-9, 4e-4, 0};
    WITHIN(it->kv_block_tokens, 8, 16);
    WITHIN(it->kv_blocks, 60, 90);
    if (one_in(3)) it->kv_blocks = 4000;
    it->reserved = 0;
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) it->step_coefficients[i] = seconds[i];
}

static void good_rampmeter_cadence(rampmeter_cadence *it) {
    it->reserved = 0;
    it->memory_ns = it->utilization_ns = it->condition_ns = it->processes_ns = 0;
    it->inventory_ns = it->retry_ns = 0;
}

static void good_rampmeter_kv_budget(rampmeter_kv_budget *it) {
    LEAVE(it->kv_block_tokens);
    WITHIN(it->bytes_per_token, 1u << 10, 1u << 20);
    LEAVE(it->keep_free_bytes);
    if (one_in(2)) it->age_max_ns = UINT64_MAX;
}

static void good_rampmeter_gpu_use(rampmeter_gpu_use *it) {
    it->is_used = !one_in(4);
    it->has_layout = one_in(4);
    it->layout = it->model = 0;
}

static void good_rampmeter_submission(rampmeter_submission *it) {
    WITHIN(it->class_index, 0, 1);
    WITHIN(it->prompt_tokens, 20, 400);
    WITHIN(it->output_tokens_max, 1, 30);
    LEAVE(it->cached_tokens);
    LEAVE(it->arrival_ns);
    LEAVE(it->deadline_ns);
    LEAVE(it->expires_at_ns);
    LEAVE(it->adapter);
    LEAVE(it->shares);
    LEAVE(it->handed_over_output_tokens);
}

static void good_rampmeter_change(rampmeter_change *it) {
    WITHIN(it->class_index_plus_1, 0, 2);
    LEAVE(it->expires_at_ns);
}

static void good_rampmeter_step_result(rampmeter_step_result *it) {
    WITHIN(it->output_tokens, 0, 1);
    it->finished = one_in(3);
}

static void good_rampmeter_observation(rampmeter_observation *it) {
    /* Often the engine did nothing: then it matters only which step it was. */
    if (one_in(2)) it->results_len = 0;
    it->kv_blocks_free_known = one_in(4);
    memset(it->reserved, 0, sizeof it->reserved);
}

static void good_rampmeter_curve(rampmeter_curve *it) {
    it->points_len = 0;
    it->fixed_s = 2e-3;
    it->each_s = 1e-3;
    it->fixed = one_in(3);
    memset(it->reserved, 0, sizeof it->reserved);
}

static void good_rampmeter_dynamic_class(rampmeter_dynamic_class *it) {
    it->delay_value = it->guaranteed_ratio = 0;
    LEAVE(it->queue_max);
    it->expiry = 0;
}

static void good_rampmeter_dynamic_options(rampmeter_dynamic_options *it) {
    WITHIN(it->batch_size_max, 1, 12);
    WITHIN(it->requests_max, 4, 64);
    WITHIN(it->instances, 1, 3);
    WITHIN(it->accounts_max, 1, 8);
    WITHIN(it->rule, 0, 1);
    it->padding = it->no_queue_delay = 0;
    it->preferred_sizes_len = 0;
    memset(it->reserved, 0, sizeof it->reserved);
    it->miss_ratio = it->wait_gain_ratio = it->late_ratio = 0;
    if (it->classes_len > 2) it->classes_len = 1;
    /* What points nowhere for want of rooms is left away. */
    if (!it->classes) it->classes_len = 0;
    if (it->buckets && it->buckets_len == 0) {
        static rampmeter_curve one;
        one.fixed_s = 2e-3;
        one.each_s = 1e-3;
        it->buckets = &one;
        it->buckets_len = 1;
    }
}

static void good_rampmeter_dynamic_submission(rampmeter_dynamic_submission *it) {
    it->class_index = 0;
    it->bucket = 0;
    LEAVE(it->arrival_ns);
    LEAVE(it->deadline_ns);
    LEAVE(it->expires_at_ns);
}

static void good_rampmeter_dynamic_observation(rampmeter_dynamic_observation *it) {
    it->ending = (uint32_t)below(2);
}

static void good_rampmeter_headroom_class(rampmeter_headroom_class *it) {
    WITHIN(it->target_ns, 1000000, 2000000000);
    it->late_ratio_max = 0.1;
    it->delay_value = 1;
}

static void good_rampmeter_headroom_options(rampmeter_headroom_options *it) {
    if (!it->classes) it->classes_len = 0;
    WITHIN(it->seats, 1, 8);
    WITHIN(it->replicas, 1, 4);
    WITHIN(it->replicas_max, 4, 8);
    LEAVE(it->memory_requests);
    it->loaded_share = it->gpus_per_replica = 0;
}

static void good_rampmeter_ledger_options(rampmeter_ledger_options *it) {
    WITHIN(it->accounts_max, 4, 12);
    WITHIN(it->lanes, 0, 3);
    WITHIN(it->resources, 2, 4);
    WITHIN(it->replicas_max, 0, 3);
    it->dominant = one_in(2);
    it->borrowing = !one_in(4);
    it->rates = !one_in(4);
    it->names = !one_in(4);
    it->half_life_ns = one_in(3) ? 0 : 3600000000000;
}

static void good_rampmeter_amounts(rampmeter_amounts *it) {
    /* Of a resource that there is not, only 0 is right. */
    uint64_t known = one_in(12) ? 8 : 1 + below(2);
    for (size_t i = 0; i < sizeof it->of / sizeof *it->of; i++)
        it->of[i] = i >= known || one_in(3) ? 0 : below(8);
}

static void good_rampmeter_quota(rampmeter_quota *it) {
    it->over_quota_priority = (int32_t)below(3);
    for (size_t i = 0; i < sizeof it->over_quota_weight / sizeof(double); i++) it->over_quota_weight[i] = 1;
    it->reserved = 0;
    /* A limit below the quota contradicts it. */
    if (!one_in(4)) memset(&it->limit, 0, sizeof it->limit);
    if (!one_in(4)) memset(&it->lending_limit, 0, sizeof it->lending_limit);
}

static void good_rampmeter_division(rampmeter_division *it) {
    it->usage_weight = 0;
    it->usage_len = 0;
    it->usage_per_s_max = 64;
    if (!one_in(3)) memset(&it->units, 0, sizeof it->units);
}

static void good_rampmeter_reclamation(rampmeter_reclamation *it) {
    it->reserved = 0;
    /* All of it must be taken from others, or nothing. */
    if (one_in(2)) it->missing = it->amounts;
    else memset(&it->missing, 0, sizeof it->missing);
}

static void good_rampmeter_running_job(rampmeter_running_job *it) {
    it->reserved = 0;
    WITHIN(it->started_ns, 0, now_ns);
    LEAVE(it->saved_ns);
}

static void good_rampmeter_placer_options(rampmeter_placer_options *it) {
    WITHIN(it->nodes_max, 2, 12);
    WITHIN(it->devices_per_node_max, 4, 8);
    WITHIN(it->tasks_max, 4, 30);
    WITHIN(it->task_members_max, 1, 4);
    WITHIN(it->members_max, 30, 60);
    WITHIN(it->accounts_max, 4, 12);
    it->layouts_len = 0;
}

static void good_rampmeter_device(rampmeter_device *it) {
    it->memory_mib = 80000;
    WITHIN(it->model, 0, 2);
    LEAVE(it->numa);
    LEAVE(it->link_group);
    WITHIN(it->sharing, 0, 1);
    it->layout = 0;
    memset(it->reserved, 0, sizeof it->reserved);
}

static void good_rampmeter_node(rampmeter_node *it) {
    it->cpu_milli = 64000;
    it->memory_mib = 512000;
    WITHIN(it->rack, 0, 2);
    WITHIN(it->zone, 0, 1);
    LEAVE(it->labels);
}

static void good_rampmeter_demand(rampmeter_demand *it) {
    LEAVE(it->models);
    WITHIN(it->cpu_milli, 0, 8000);
    WITHIN(it->memory_mib, 0, 9000);
    WITHIN(it->device_kind, 0, 1);
    WITHIN(it->device_count, 1, 2);
    it->device_memory_mib = 0;
    it->device_milli = 0;
    it->compute_slices = it->one_link_group = 0;
    if (it->device_kind == 0) it->device_count = 0;
    memset(it->reserved, 0, sizeof it->reserved);
}

static void good_rampmeter_task(rampmeter_task *it) {
    WITHIN(it->class_index, 0, 1);
    WITHIN(it->members, 1, 3);
    LEAVE(it->members_min);
    LEAVE(it->labels_required);
    LEAVE(it->labels_forbidden);
    WITHIN(it->duration_ns, 1000000000, 100000000000);
    LEAVE(it->warm_up_ns);
    LEAVE(it->min_runtime_ns);
    it->slowdown_ratio = it->link_slowdown_ratio = it->crowding_s = 0;
    it->priority = (int32_t)below(3);
    LEAVE(it->artifact);
    LEAVE(it->spread_group);
    LEAVE(it->spread_members_max);
    LEAVE(it->spread_domain);
    LEAVE(it->within);
    it->within_required = 0;
    it->reserved = 0;
}

static void good_rampmeter_router_options(rampmeter_router_options *it) {
    WITHIN(it->replicas_max, 2, 8);
    WITHIN(it->requests_max, 4, 40);
    WITHIN(it->block_tokens, 1, 16);
    WITHIN(it->blocks_max, 8, 300);
    WITHIN(it->sets_max, 8, 300);
    WITHIN(it->prompt_blocks_max, 4, 40);
    WITHIN(it->adapters_max, 1, 4);
    WITHIN(it->link_groups_max, 1, 4);
    it->reserved = 0;
    LEAVE(it->kv_bytes_per_token);
    it->link_bytes_per_s = it->network_bytes_per_s = 0;
}

static void good_rampmeter_route_request(rampmeter_route_request *it) {
    WITHIN(it->class_index, 0, 1);
    WITHIN(it->prompt_tokens, 1, 300);
    LEAVE(it->adapter);
    it->hashes_len = 0;
}

static void good_rampmeter_outcomes_options(rampmeter_outcomes_options *it) {
    WITHIN(it->backlogged_max, 1, 6);
    it->account_histograms = one_in(20);
    memset(it->reserved, 0, sizeof it->reserved);
}

/* States that take several calls that agree with each other: a gate in front of which requests wait, and
 * a prefill engine that has handed a request over. Every run begins with them. */
static void keep_waiting(rampmeter_gate *gate) {
    uint64_t account = 0;
    if (rampmeter_gate_open_account(gate, 0, 1, &account, NULL)) return;
    keep("account", account);
    rampmeter_gate_admission admission = {.size = sizeof admission};
    /* Until so many have ended that it can say when a server will be free, it lets nobody wait. */
    for (int i = 0; i < 60; i++) {
        if (rampmeter_gate_admit(gate, now_ns, 0, account, 1, &admission, NULL)) return;
        now_ns += 1000000;
        if (rampmeter_gate_ended(gate, now_ns, admission.ticket, NULL)) return;
    }
    for (int i = 0; i < 6; i++) {
        if (rampmeter_gate_admit(gate, now_ns, 0, account, 1, &admission, NULL) == 0) keep("ticket", admission.ticket);
    }
}

static void keep_handed_over(rampmeter_batcher *batcher) {
    static rampmeter_plan_entry entries[8];
    static rampmeter_preemption preempted[8];
    static rampmeter_expiry expired[8];
    rampmeter_submission request = {.size = sizeof request, .prompt_tokens = 40, .output_tokens_max = 9};
    if (rampmeter_batcher_open_account(batcher, 0, 1, &request.account, NULL)) return;
    keep("account", request.account);
    for (int i = 0; i < 3; i++) {
        rampmeter_admission admission;
        if (rampmeter_batcher_submit(batcher, now_ns, &request, &admission, NULL) == 0) keep("request", admission.request);
    }
    rampmeter_plan plan = {sizeof plan, 8, entries, preempted, expired};
    rampmeter_formed formed = {.size = sizeof formed};
    if (rampmeter_batcher_form(batcher, now_ns, &plan, &formed, NULL) || !formed.runs) return;
    rampmeter_step_result results[8];
    uint32_t len = 0;
    for (uint32_t i = 0; i < formed.entries_len; i++)
        if (entries[i].emits)
            results[len++] = (rampmeter_step_result){.request = entries[i].request, .output_tokens = 1};
    rampmeter_observation seen = {.size = sizeof seen, .results_len = len, .step = formed.step, .results = results};
    rampmeter_observed observed = {.size = sizeof observed};
    if (rampmeter_batcher_observe(batcher, now_ns, &seen, &observed, NULL)) return;
    if (rampmeter_batcher_form(batcher, now_ns, &plan, &formed, NULL) == 0) keep("step", formed.step);
}

/* A machine with GPUs, read by a probe and by a poller. */
static void begin_with_gpus(void) {
    rampmeter_probe *probe = NULL;
    rampmeter_poller *poller = NULL;
    rampmeter_snapshot *seen = NULL;
    rampmeter_cadence cadence = {.size = sizeof cadence};
    if (rampmeter_probe_create(RAMPMETER_BACKEND_FIXTURE, MACHINE, &probe, NULL) ||
        rampmeter_poller_start(RAMPMETER_BACKEND_FIXTURE, MACHINE, &cadence, &poller, NULL) ||
        rampmeter_snapshot_create(&seen, NULL) || rampmeter_probe_read(probe, 0, seen, NULL))
        complain("a machine of a file was refused");
    settle(KIND_rampmeter_probe, probe);
    settle(KIND_rampmeter_poller, poller);
    settle(KIND_rampmeter_snapshot, seen);
}

static void begin_with_states(void) {
    begin_with_gpus();
    static const char document[] = "[limits]\nrunning_max = 8\nrequests_max = 40\naccounts_max = 12\n"
                                   "steps_in_flight_max = 3\n[batch]\nmode = \"prefill\"\n";
    rampmeter_policy *policy = NULL;
    rampmeter_gate *gate = NULL;
    rampmeter_batcher *batcher = NULL;
    rampmeter_engine engine = {.size = sizeof engine};
    if (rampmeter_policy_from_toml(document, sizeof document - 1, &policy, NULL) ||
        rampmeter_engine_named("llama-3.1-8b", &engine, NULL) ||
        rampmeter_gate_create(policy, 1, &gate, NULL) ||
        rampmeter_batcher_create(policy, &engine, &batcher, NULL))
        complain("what every run begins with was refused");
    settle(KIND_rampmeter_policy, policy);
    settle(KIND_rampmeter_gate, gate);
    keep_waiting(gate);
    settle(KIND_rampmeter_batcher, batcher);
    keep_handed_over(batcher);
}

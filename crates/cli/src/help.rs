//! What `--help` lists besides the options: every name that can be given.

use crate::jobs;

/// The engine of the demo.
pub(crate) const PROFILE_DEFAULT: &str = "llama-3.1-8b";

/// From where a GPU first looks busy to where it is asked for more than it can do.
pub(crate) const LOADS_DEFAULT: &str = "0.02,0.1,0.3,0.6,0.8,0.9,1.0,1.2";

/// What the demo compares: each peer as it ships, the strongest combination of peer and options
/// that is known, and the library's own.
pub(crate) const POLICIES_DEFAULT: &str =
    "fcfs,priority,sarathi,vtc,past-future,priority+chunk=384+triage,rampmeter";

/// What packing compares: the library's own, and what it is held against.
pub(crate) const PACK_POLICIES_DEFAULT: &str = "random,best_fit,fgd,rampmeter";

/// What a cluster is replayed under: the plain queue, what most clusters run, and the preemptive
/// one that knows most.
pub(crate) const QUEUES_DEFAULT: &str = "fifo,easy,srtf";

/// As the library's default ([`rampmeter_sim::cluster::Costs`]).
pub(crate) const RESTART_S_DEFAULT: f64 = 10.0;

/// An hour: a reboot and a look at the node.
pub(crate) const MTTR_S_DEFAULT: f64 = 3_600.0;

/// For the command as a whole.
pub(crate) fn exit_codes() -> String {
    "Exit codes: 0 it ran; 1 a check that was asked for failed; 2 wrong usage or input,\n\
     with one sentence on standard error and nothing written."
        .to_owned()
}

/// For `highway`.
pub(crate) fn highway() -> String {
    format!(
        "{}\n  default: {POLICIES_DEFAULT}\n{}\n{}\n{}\n{}\n{}",
        policies(),
        profiles(),
        mixes(),
        views(),
        gates(),
        traffic()
    )
}

/// For `replay serving`.
pub(crate) fn replay() -> String {
    format!(
        "{}\n{}\nFormats:\n  {}\n{}\n{}\n{}\nRouters: {}",
        policies(),
        profiles(),
        jobs::format_names().join(", "),
        mixes(),
        views(),
        gates(),
        jobs::router_names().join(", ")
    )
}

/// For `pack`.
pub(crate) fn pack() -> String {
    format!(
        "Policies:\n  {}\n  \
         rampmeter   learns the task mix as tasks come; fgd is given that of the list\n  \
         naive       fgd by its definition, every node priced anew for each task\n\
         Nodes (--nodes): columns sn,cpu_milli,memory_mib,gpu,model; or 8x8 for 8 nodes of 8 GPUs\n\
         Tasks (--tasks): columns name,cpu_milli,memory_mib,num_gpu,gpu_milli[,gpu_spec]\n\
         docs/guides/pack.md says what is measured.",
        jobs::pack_policy_names().join(", ")
    )
}

/// For `replay cluster`.
pub(crate) fn replay_cluster() -> String {
    format!(
        "Policies (or a policy document .toml or .json):\n  {}\n\
         Queues:\n  \
         fifo          first come, first served; who does not fit holds up all behind\n  \
         easy          fifo, and others go ahead if they do not delay the first that waits\n  \
         conservative  fifo, and others go ahead if they delay nobody\n  \
         srtf          shortest remaining time first, preemptive\n  \
         srsf          shortest remaining GPU time first, preemptive\n  \
         las           least attained GPU time in three levels (Tiresias-L), preemptive\n\
         Formats:\n  {}\n\
         docs/guides/cluster.md has the columns, and says what is not modelled.",
        jobs::placement_names().join(", "),
        jobs::job_format_names().join(", ")
    )
}

/// For `fit`.
pub(crate) fn fit() -> String {
    "The folder holds `tpN/*.csv` and an `engine.toml`, or is named after a model that the\n\
     program knows."
        .to_owned()
}

/// For `share`.
pub(crate) fn share() -> String {
    "Files (--tree), told apart by their ending, else by how they begin:\n  \
     .toml .json   a policy document with a state: `capacity`, `units`, `damping`, and in each\n  \
     {:14}`[[account]]` `shares`, `usage`, `held`, `asked`\n  \
     .json         associations of Slurm's: a list `associations` with id, parent, shares,\n  \
     {:14}usage, acct, user\n  \
     other         what `sshare -al --parsable2` prints\n\
     docs/guides/share.md has all keys and columns."
        .replace("{:14}", &" ".repeat(14))
}

/// For `probe`.
pub(crate) fn probe() -> String {
    "A figure that could not be read is `-` where it is not told, `denied`, or the status of the\n\
     call that failed. With --watch, --json takes `-` only: a line for each look.\n\
     docs/guides/probe.md lists every condition of a driver, and its remedy."
        .to_owned()
}

/// For `policy show`.
pub(crate) fn presets() -> String {
    format!("Presets: {}", jobs::policy_preset_names().join(", "))
}

fn policies() -> String {
    format!(
        "Policies (NAME[+OPTION...], or a policy document .toml or .json):\n  {}\n  \
         +chunk=N        prompts in chunks of N tokens a step\n  \
         +chunk=N/N/...  the best of these sizes, at each load: one row, under which most\n  \
         {:16}requests of the first class meet their targets over all seeds\n  \
         +triage         requests that can no longer meet their target go behind those that can\n  \
         +output-cost=N  vtc: an output token counts as N prompt tokens (2)\n  \
         +spare=N%       past-future: part of the KV cache kept free of forecasts (3%)",
        jobs::policy_names().join(", "),
        ""
    )
}

fn profiles() -> String {
    format!(
        "Engine profiles (or a folder of measured tables):\n  {}",
        jobs::profile_names().join(", ")
    )
}

fn mixes() -> String {
    "Mixes:\n  \
     a       8 accounts, one greedy with 40% of the requests; 17% batch work\n  \
     b       the same with 30% batch work\n  \
     pair    2 accounts, one sends twice as many requests; one class\n  \
     single  one account, one class"
        .to_owned()
}

fn views() -> String {
    "Views (--show):\n  \
     users     what users of the first class felt, beside how busy the GPU was (default)\n  \
     gains     targets met by class, throughput, fairness, requests not served\n  \
     memory    a full KV cache: preemptions, and work done twice\n  \
     fairness  how far apart accounts were, beside the bound that the policy states"
        .to_owned()
}

fn traffic() -> String {
    format!("Presets of traffic: {}", jobs::traffic_names().join(", "))
}

fn gates() -> String {
    "Gates:\n  \
     none          everybody comes in\n  \
     rampmeter     who would still start in time, with as many inside as keep every token in time;\n  \
     rampmeter=N   with N inside\n  \
     cap=N         at most N at a time, all others are turned away at once"
        .to_owned()
}

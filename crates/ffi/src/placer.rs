//! Placer: where a task runs
//!
//! A placer knows nodes with their devices, and tasks: whole devices, parts of them, partitions
//! (MIG), several members that start together (gangs). rampmeter_placer_place() answers for one task
//! at once; or the host submits tasks, and rampmeter_placer_cycle() says who starts now, who is
//! promised a start, and who ends for others. The host starts and ends them; with
//! rampmeter_placer_release() what a task held is free again. `docs/policies/place.md` and
//! `docs/policies/cycle.md` say how it decides.

mod answers;
mod cycle;
mod fleet;
mod life;
mod nodes;
mod tasks;
mod what_if;

pub use answers::*;
pub use cycle::*;
pub use fleet::*;
pub use life::*;
pub use nodes::*;
pub use tasks::*;
pub use what_if::*;

use rampmeter::fleet::FleetOptions;
use rampmeter::place::{MixEntry, Placer, PlacerOptions};

use crate::boundary::{Guarded, change, create, desk, destroy, look, object};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, array, array_mut, room, take, versioned};
use crate::policy::rampmeter_policy;
use crate::status::rampmeter_status;
use fleet::{beyond, new_fleet};

/// Places tasks on the nodes of one fleet. One thread at a time may change it; calls with a `const`
/// pointer may run side by side.
pub struct rampmeter_placer(Guarded<Placer>);
object!(rampmeter_placer, Placer, "placer");

/// Size of a placer. Set all of it to 0, then `size`, then what differs from the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_placer_options {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Nodes that may be there at once, up to 1,048,576; 0: 1,024.
    pub nodes_max: u32,
    /// Devices that one node may have, up to RAMPMETER_NODE_DEVICES_MAX; 0: 8.
    pub devices_per_node_max: u32,
    /// Tasks that may be known at once, pending and running together, up to 16,777,216; 0: 16,384.
    pub tasks_max: u32,
    /// Members of all tasks that may run at once, up to 16,777,216; 0: 16,384.
    pub members_max: u32,
    /// Members of one task, up to 65,536; 0: 1,024.
    pub task_members_max: u32,
    /// Accounts that tasks may belong to, up to 16,777,216; 0: 1,024.
    pub accounts_max: u32,
    /// Elements of `layouts`, at most 9.
    pub layouts_len: u32,
    /// Layouts of the host, of devices for which none is built in; see rampmeter_layout_of_host().
    pub layouts: *const rampmeter_layout,
}
versioned!(rampmeter_placer_options, 40);

/// A kind of task, and how often it comes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_mix_entry {
    /// What one member takes: no part of a device or one, or whole ones. Memory is not looked at.
    pub member: rampmeter_demand,
    /// How often it comes, in any unit that is the same for all, 1 to 1,048,576.
    pub weight: u32,
    /// Must be 0.
    pub reserved: u32,
}

/// Most entries of a mix.
pub const RAMPMETER_MIX_ENTRIES_MAX: usize = 256;

impl rampmeter_placer_options {
    fn fleet(&self) -> FleetOptions {
        let default = FleetOptions::default();
        FleetOptions {
            nodes_max: or(self.nodes_max, default.nodes_max),
            devices_per_node_max: or(self.devices_per_node_max, default.devices_per_node_max),
        }
    }

    fn placer(&self) -> PlacerOptions {
        let default = PlacerOptions::default();
        PlacerOptions {
            tasks_max: or(self.tasks_max, default.tasks_max),
            members_max: or(self.members_max, default.members_max),
            task_members_max: or(self.task_members_max, default.task_members_max),
            accounts_max: or(self.accounts_max, default.accounts_max),
        }
    }
}

/// What is given, or the default where that is 0.
const fn or(given: u32, default: u32) -> u32 {
    if given == 0 { default } else { given }
}

/// Creates a placer for a fleet without nodes, with all the memory that it will ever use.
///
/// Fails: E_RANGE, E_CONTRADICTION (a layout), E_FULL (more layouts than there may be), E_DUPLICATE,
/// E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the caller's, to be given to
/// rampmeter_placer_destroy(); NULL on failure. `policy` and `options` are read and not kept.
/// Allocates: yes, rampmeter_placer_bytes_needed(). Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_create(
    policy: *const rampmeter_policy,
    options: *const rampmeter_placer_options,
    out: *mut *mut rampmeter_placer,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let (policy, options) = (desk(policy)?, take(options, "options")?);
            options.placer().validate()?;
            room(Placer::bytes_needed(&options.fleet(), policy, &options.placer()))?;
            Ok(Placer::new(new_fleet(&options)?, policy, &options.placer())?)
        })
    }
}

/// Ends a placer. NULL is allowed and does nothing.
///
/// Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_destroy(placer: *mut rampmeter_placer) {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { destroy(placer) }
}

/// Bytes that a placer of this size takes for this policy, to within a few fixed fields.
///
/// Fails: E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_bytes_needed(
    policy: *const rampmeter_policy,
    options: *const rampmeter_placer_options,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(policy, error, |policy| {
            let (out, options) = (Out::new(bytes, "bytes")?, take(options, "options")?);
            out.set(Placer::bytes_needed(&options.fleet(), policy, &options.placer()));
            Ok(())
        })
    }
}

/// Takes a changed policy; what runs stays where it is, at the price that it had. Delay values and
/// rules hold from now on; its shadow price only where the host has said none.
///
/// Fails: E_RANGE if it has another number of classes, more accounts than `accounts_max`, or another
/// `placement.measure`: these are fixed; E_RANGE_REAL, E_DUPLICATE, E_POINTER. Allocates: no. Blocks:
/// no. Threads: one at a time for each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_set_policy(
    placer: *mut rampmeter_placer,
    policy: *const rampmeter_policy,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(placer, error, |placer| Ok(placer.set_policy(desk(policy)?)?)) }
}

/// Says what a GPU is worth from now on, in value-seconds of waiting for each GPU-second lost: the
/// delay value of what waits, over the GPUs there are, over the part of them that is not asked for
/// (at least 0.05). Until it is said the policy's holds.
///
/// Fails: E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each placer.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_set_shadow_price(
    placer: *mut rampmeter_placer,
    shadow_price: f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(placer, error, |placer| Ok(placer.set_shadow_price(shadow_price)?)) }
}

/// What a GPU-second is worth now: what was last said, else the policy's.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
/// placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_shadow_price(
    placer: *const rampmeter_placer,
    shadow_price: *mut f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            Out::new(shadow_price, "shadow_price")?.set(placer.shadow_price());
            Ok(())
        })
    }
}

/// Says what tasks are expected to come, where the host knows it better than what has come tells:
/// from now on nothing is learned. With `mix_len` 0 it is learned again, from what has come before
/// and what comes.
///
/// Fails: E_RANGE (a demand that cannot be; shares of several devices; partitions; a weight), E_FULL
/// (more than RAMPMETER_MIX_ENTRIES_MAX entries, or 64 that differ in CPU and devices), E_POINTER.
/// Allocates: no. Blocks: no. Threads: one at a time for each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_set_mix(
    placer: *mut rampmeter_placer,
    mix: *const rampmeter_mix_entry,
    mix_len: usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            let given = array(mix, mix_len, "mix")?;
            let mut mix = [MixEntry::default(); RAMPMETER_MIX_ENTRIES_MAX];
            let full = rampmeter::Error::Full { field: "mix", capacity: mix.len() as u64 };
            let mix = mix.get_mut(..given.len()).ok_or(full)?;
            for (entry, given) in mix.iter_mut().zip(given) {
                none_set("reserved", given.reserved.into())?;
                *entry = MixEntry { demand: given.member.demand()?, weight: given.weight };
            }
            Ok(placer.set_mix(mix)?)
        })
    }
}

/// `Ok` for a field that must be 0.
#[inline]
fn none_set(field: &'static str, value: u64) -> Result<(), Fault> {
    Ok(rampmeter::error::check_range(field, value, 0, 0).map(drop)?)
}

/// Bytes that rampmeter_placer_save() will write now.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
/// placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_snapshot_bytes(
    placer: *const rampmeter_placer,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            Out::new(bytes, "bytes")?.set(placer.snapshot_bytes());
            Ok(())
        })
    }
}

/// Writes all state, nodes included, into `out`; `*written` is its length. Handles of nodes and
/// tasks stay good in what is restored from it. Save the ledger at the same time: the placer
/// remembers what it has told it.
///
/// Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_save(
    placer: *const rampmeter_placer,
    out: *mut u8,
    capacity: usize,
    written: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            let written = Out::new(written, "written")?;
            let out = array_mut(out, capacity, "out")?;
            written.set(placer.save(out)?);
            Ok(())
        })
    }
}

/// Creates a placer from `len` bytes that rampmeter_placer_save() wrote, which are believed in
/// nothing: damaged or forged ones are refused. `options` are those of the saved one; so is
/// `policy`, or it is a changed one, taken as rampmeter_placer_set_policy() would. What stranding
/// costs is worked out anew from the task mix as it was saved, where the saved placer went by tables of
/// its last round of repricing: until both have been through a round (1/16 of the arrivals seen, 16 at
/// least) the choice among nodes that fit may differ, and nothing else. With a measure that goes by no
/// mix every later answer is the same.
///
/// Fails: E_SNAPSHOT, and as rampmeter_placer_create(). Ownership, and so on: as there. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_restore(
    policy: *const rampmeter_policy,
    options: *const rampmeter_placer_options,
    bytes: *const u8,
    len: usize,
    out: *mut *mut rampmeter_placer,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let (policy, options) = (desk(policy)?, take(options, "options")?);
            let bytes = array(bytes, len, "bytes")?;
            options.placer().validate()?;
            room(Placer::bytes_needed(&options.fleet(), policy, &options.placer()))?;
            Ok(Placer::restore(new_fleet(&options)?, policy, &options.placer(), bytes)?)
        })
    }
}

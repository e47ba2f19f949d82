//! Tasks of every kind, some of which cannot be.

use rampmeter::Nanos;
use rampmeter::fleet::{Demand, DeviceDemand, ModelSet};
use rampmeter::place::{Domain, Spreading, Task, Topology};
use rampmeter::share::AccountId;

use super::{ACCOUNTS, LeanPlacer, SECOND};

impl LeanPlacer {
    pub(super) fn demand(&mut self) -> Demand {
        let prng = &mut self.prng;
        let memory_mib = prng.below(3) as u32 * 40_000;
        let devices = match prng.below(8) {
            0 => DeviceDemand::None,
            1..4 => DeviceDemand::Whole { count: 1 + prng.below(3) as u8, memory_mib },
            4..7 => {
                let milli = 100 + prng.below(7) as u16 * 100;
                DeviceDemand::Share { count: 1 + prng.below(2) as u8, milli, memory_mib }
            }
            _ => DeviceDemand::Partition { compute_slices: 1 + prng.below(4) as u8, memory_mib: 0 },
        };
        Demand {
            cpu_milli: prng.below(4_000) as u32,
            memory_mib: prng.below(500) as u32,
            devices,
            models: if prng.chance(80) { ModelSet::ANY } else { ModelSet(prng.below(4)) },
            one_link_group: prng.chance(10),
        }
    }

    pub(super) fn task(&mut self) -> Task {
        let member = self.demand();
        let account = self.accounts[self.prng.below(ACCOUNTS as u64) as usize];
        let prng = &mut self.prng;
        let domains = [Domain::Node, Domain::Rack, Domain::Zone, Domain::Fleet];
        let members = if prng.chance(40) { 1 + prng.below(7) as u32 } else { 1 };
        let (nobody, forged) = (AccountId::default(), AccountId::from_raw(prng.draw()));
        Task {
            tag: prng.draw(),
            account: if prng.chance(3) {
                [nobody, forged][prng.below(2) as usize]
            } else {
                account
            },
            class: u32::from(prng.chance(30)),
            priority: prng.below(3) as i32 - 1,
            member,
            members,
            members_min: prng.below(u64::from(members) + 1) as u32,
            labels_required: u64::from(prng.chance(15)),
            labels_forbidden: 2 * u64::from(prng.chance(10)),
            topology: Topology {
                within: domains[prng.below(4) as usize],
                required: prng.chance(20),
                slowdown_ratio: prng.below(2) as f64 * 0.2,
                link_slowdown_ratio: prng.below(2) as f64 * 0.1,
            },
            spreading: Spreading {
                group: prng.below(6).saturating_sub(2) as u32,
                domain: domains[prng.below(4) as usize],
                domain_members_max: prng.below(6).saturating_sub(3) as u32,
                crowding_s: [0.0, 5.0, f64::NAN]
                    [usize::from(prng.chance(40)) * (1 + usize::from(prng.chance(3)))],
            },
            duration: Nanos(if prng.chance(80) { (1 + prng.below(90)) * SECOND } else { 0 }),
            artifact: prng.below(12) as u32,
            warm_up: Nanos(prng.below(9) * SECOND),
            preemptible: prng.chance(70),
            min_runtime: Nanos(prng.below(9) * SECOND),
        }
    }
}

//! Hosts of all kinds: every seed is another one.

use super::{Host, Prng, Setup};

/// Every seed has its own kind of host: some dials are off, some are wild.
pub fn swarm(seed: u64) -> (Setup, Prng) {
    let mut prng = Prng(seed);
    let block_tokens = [1, 4, 16][prng.below(3) as usize];
    let running_max = 1 + prng.below(24) as u32;
    let setup = Setup {
        classes: 1 + prng.below(3) as u16,
        accounts: 1 + prng.below(6) as u32,
        running_max,
        step_tokens_max: running_max + 1 + prng.below(300) as u32,
        steps_in_flight: 1 + prng.below(4) as u32,
        kv_blocks: (220 + prng.below(1500) as u32).div_ceil(block_tokens),
        block_tokens,
        requests_max: running_max + prng.below(200) as u32,
        credit: prng.below(3) as f64 * 400.0,
        late_ratio: prng.below(2) as f64 * 0.05,
        guaranteed_ratio: prng.below(3) as f64 * 0.1,
        absent_percent: if prng.chance(20) { prng.below(30) } else { 0 },
        speculative_percent: if prng.chance(20) { prng.below(60) } else { 0 },
        reports_blocks: true,
        adapters: if prng.chance(40) { prng.below(12) as u32 } else { 0 },
        adapter_slots: 1 + prng.below(4) as u32,
        sharing_percent: if prng.chance(40) { prng.below(80) } else { 0 },
        overflow_risk: [1.0, 1.0, 0.3, 0.03, 0.0][prng.below(5) as usize],
        swap_blocks: [0, 0, 30, 1_000][prng.below(4) as usize],
        replicas: 0,
    };
    (setup, prng)
}

/// What happens between two steps, and the step.
pub fn round(host: &mut Host, prng: &mut Prng, arrivals_percent: u64, cancels_percent: u64) {
    while prng.chance(arrivals_percent.min(90)) {
        let class = prng.below(u64::from(host.setup.classes)) as u16;
        let account = prng.below(u64::from(host.setup.accounts)) as usize;
        let (prompt, output) = (1 + prng.below(150) as u32, 1 + prng.below(60) as u32);
        host.submit(class, account, prompt, output);
    }
    if prng.chance(cancels_percent) && !host.known.is_empty() {
        let pick = prng.below(host.known.len() as u64) as usize;
        let id = *host.known.keys().nth(pick).unwrap();
        host.cancel(id);
    }
    if prng.chance(5) {
        host.now = host.now.offset_seconds(prng.below(3000) as f64 / 1000.0);
    }
    if prng.chance(2) {
        host.lose_swapped();
    }
    host.step(prng);
}

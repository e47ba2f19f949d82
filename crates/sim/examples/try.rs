//! scratch
use rampmeter_sim::engine::{Engine, EngineOverrides};
use rampmeter_sim::serving::{self, PolicySpec, RunOptions, capacity, replay::replay};
use rampmeter_sim::workload::{Extent, Generator, Mix, Preset};
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mix: Mix = args[1].parse().unwrap();
    let preset = if args[2] == "chat" { Preset::Chat } else { Preset::Code };
    let loads: Vec<f64> = args[3].split(',').map(|x| x.parse().unwrap()).collect();
    let policies: Vec<PolicySpec> = args[4].split(',').map(|x| x.parse().unwrap()).collect();
    let engine =
        Engine::load(args.get(6).map_or("llama-3.1-8b", |x| x), &EngineOverrides::default())
            .unwrap();
    let minutes: f64 = args[5].parse().unwrap();
    let mut g = Generator::new(preset, 42);
    g.extent = Extent::Seconds(minutes * 60.0);
    let trace = g.generate().unwrap();
    let base = mix.apply(trace, 42).unwrap();
    let cap = capacity::measure(&base, &engine).unwrap();
    println!("requests {} cap {:?}", base.requests.len(), cap);
    for load in loads {
        for p in &policies {
            let mut w = base.clone();
            serving::capacity::rescale(&mut w, cap.arrival_factor(load, 1).unwrap());
            let t = Instant::now();
            let r = replay(&w, &engine, p, RunOptions::default(), Some(load)).unwrap();
            print!(
                "{load} {:24} tok/s {:7.0} util {:.3} pre {:5} sd {:7.0}k",
                r.policy,
                r.tokens_per_s,
                r.utilization,
                r.preemptions,
                r.service_difference_max / 1e3
            );
            for (n, c) in &r.classes {
                print!(
                    " | {n:8} att {:.3} ttft {:6.2}/{:6.2} tpot99 {:.3} apdex {:.3}",
                    c.attainment, c.ttft_s.p50, c.ttft_s.p99, c.tpot_s.p99, c.apdex
                );
            }
            println!(
                " [{:.1}s wall, {:.0}s sim, {} steps]",
                t.elapsed().as_secs_f64(),
                r.elapsed_s,
                r.steps
            );
        }
    }
}

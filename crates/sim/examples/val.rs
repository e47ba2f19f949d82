//! scratch
use rampmeter_sim::engine::*;
use rampmeter_sim::results::{Latency, Validation};
use rampmeter_sim::serving::{self, PolicySpec, RunOptions};
use rampmeter_sim::workload::*;
fn main() {
    if std::env::args().count() > 1 {
        return more();
    }
    let b = "/work/shared/traces/llmservingsim";
    for (m, tp) in [("Llama-3.1-8B", 1), ("Qwen3-32B", 2)] {
        let e = Engine::load(
            &format!("{b}/perf/RTXPRO6000/{m}"),
            &EngineOverrides { tensor_parallel: Some(tp), ..Default::default() },
        )
        .unwrap();
        let run =
            serving::validate::read(std::path::Path::new(&format!("{b}/bench/RTXPRO6000/{m}")))
                .unwrap();
        let rows = serving::validate::replay(&run, &e).unwrap();
        let f = |l: &serving::validate::Latency| Latency {
            ttft_s: l.ttft_s,
            tpot_s: l.tpot_s,
            latency_s: l.latency_s,
        };
        let (a, s): (Vec<_>, Vec<_>) =
            rows.iter().map(|c| (f(&c.measured), f(&c.simulated))).unzip();
        let v = Validation::compare(&a, &s).unwrap();
        println!("{m}");
        for q in &v.quantiles {
            print!("{} {} {:+.1}; ", q.metric, q.stat, q.error_pct);
        }
        println!();
        // fit on steps of a chat replay
        for (fitp, evalp) in [
            (Preset::Chat, Preset::Chat),
            (Preset::Code, Preset::Code),
            (Preset::Chat, Preset::Code),
        ] {
            let wl = |p: Preset, seed: u64, rate: f64| {
                let mut g = Generator::new(p, seed);
                g.rate_per_s = rate;
                Mix::A.apply(g.generate().unwrap(), seed).unwrap()
            };
            let steps = |p, seed| {
                let mut all = vec![];
                for rate in [2.0, 5.0, 8.0, 10.0] {
                    let w = wl(p, seed, rate);
                    all.extend(
                        serving::replay::steps_of(
                            &w,
                            &e,
                            &"fcfs".parse::<PolicySpec>().unwrap(),
                            RunOptions::default(),
                        )
                        .unwrap(),
                    );
                }
                all
            };
            let a = steps(fitp, 1);
            let (model, r) = fit(&a).unwrap();
            let t = steps(evalp, 2);
            let held = FitReport::of(&model, &t);
            println!(
                "fit {fitp} on itself {:.2}/{:.2}, held out {evalp} {:.2}/{:.2} ({} steps)",
                r.mape_pct, r.mape_prefill_pct, held.mape_pct, held.mape_prefill_pct, held.samples
            );
        }
    }
}
#[allow(dead_code)]
fn more() {
    let b = "/work/shared/traces/llmservingsim";
    for (m, tp) in [("Llama-3.1-8B", 1), ("Qwen3-32B", 2), ("Qwen3-32B", 1)] {
        let (e, r) = Engine::fitted(
            std::path::Path::new(&format!("{b}/perf/RTXPRO6000/{m}")),
            &EngineOverrides { tensor_parallel: Some(tp), ..Default::default() },
        )
        .unwrap();
        println!("{m} {tp} {:?}", r);
        for pol in ["fcfs", "fcfs+chunk=512", "rampmeter"] {
            let mut g = Generator::new(Preset::Chat, 3);
            g.rate_per_s = if tp == 1 { 7.0 } else { 3.0 };
            let w = Mix::A.apply(g.generate().unwrap(), 3).unwrap();
            let s = serving::replay::steps_of(
                &w,
                &e,
                &pol.parse::<PolicySpec>().unwrap(),
                RunOptions::default(),
            )
            .unwrap();
            let h = FitReport::of(&e.model, &s);
            let pre: Vec<f64> = s
                .iter()
                .filter(|x| x.0.shape.prefill_tokens > 0)
                .map(|x| e.model.seconds(&x.0.shape) / x.1 - 1.0)
                .collect();
            println!(
                "   {pol}: {:.2}/{:.2} bias on prefill {:+.2}% n {}",
                h.mape_pct,
                h.mape_prefill_pct,
                100.0 * pre.iter().sum::<f64>() / pre.len() as f64,
                s.len()
            );
        }
    }
}

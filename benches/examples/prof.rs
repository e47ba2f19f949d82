//! prof
use rampmeter::policy::Measure;
use rampmeter_bench::cluster::Cluster;
use std::time::Instant;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let measure = if a[1] == "fgd" { Measure::Fgd } else { Measure::Value };
    let nodes: u32 = a[2].parse().unwrap();
    let times: usize = a[3].parse().unwrap();
    let mut cluster = Cluster::new(nodes, measure);
    let mut t: Vec<u64> = Vec::new();
    for _ in 0..times {
        cluster.prepare();
        let b = Instant::now();
        std::hint::black_box(cluster.place());
        t.push(b.elapsed().as_nanos() as u64);
    }
    t.sort_unstable();
    println!(
        "{} {} p50 {} p90 {} p99 {} p99.9 {}",
        a[1],
        nodes,
        t[times / 2],
        t[times * 9 / 10],
        t[times * 99 / 100],
        t[times * 999 / 1000]
    );
}

//! Figures that others published, on their own traces.

use rampmeter::Nanos;
use rampmeter_sim::cluster::{NodeList, Options, Queue};

use crate::support::{reported, shared_jobs};

/// The Muri artifact's own mean completion times (`simulator/draw_fig9-10.py`), in seconds.
const MURI: [(&str, [(Queue, f64); 3]); 2] = [
    (
        "muri/trace1.csv",
        [(Queue::Srtf, 1_370_603.0), (Queue::Srsf, 980_141.0), (Queue::Las, 3_330_371.0)],
    ),
    (
        "muri/trace3.csv",
        [(Queue::Srtf, 193_082.0), (Queue::Srsf, 185_022.0), (Queue::Las, 347_213.0)],
    ),
];

#[test]
fn muri_completion_times() {
    let nodes = NodeList::uniform(8, 8, "gpu");
    for (trace, published) in MURI {
        let Some(jobs) = shared_jobs(trace, 8) else { return };
        for (queue, expected_s) in published {
            let run = reported(&nodes, &jobs, queue, &Options::default());
            let error = run.felt.jct_s.mean / expected_s - 1.0;
            println!("{trace} {queue}: {:.0} s, {:+.1}%", run.felt.jct_s.mean, error * 100.0);
            assert!(error.abs() <= 0.1, "{trace} {queue}: {:.0} s", run.felt.jct_s.mean);
        }
    }
}

/// NASA's log has start times for submit times, so that hardly anybody waits in it as it stands:
/// its first 6,000 jobs are replayed again with
/// arrivals half again as fast.
#[test]
fn reservations_of_backfilling_are_kept() {
    let cases = [
        ("swf/NASA-iPSC-1993-3.1-cln.swf.gz", 128, 1.0),
        ("swf/NASA-iPSC-1993-3.1-cln.swf.gz", 128, 1.5),
        ("swf/hpc2n.swf", 240, 1.0),
    ];
    for (trace, processors, faster) in cases {
        let Some(mut jobs) = shared_jobs(trace, 1) else { return };
        if faster > 1.0 {
            jobs.jobs.truncate(6_000);
        }
        for job in &mut jobs.jobs {
            job.arrival = Nanos((job.arrival.as_seconds() / faster * 1e9) as u64);
        }
        let nodes = NodeList::uniform(processors, 1, "cpu");
        for queue in [Queue::Easy, Queue::Conservative, Queue::Fifo] {
            let run = reported(&nodes, &jobs, queue, &Options::default());
            println!(
                "{trace} {faster}x {queue}: {} jobs, {} reservations, wait {:.0} s, slowdown {:.1}",
                run.felt.completed,
                run.reservations.jobs,
                run.felt.queue_wait_s.mean,
                run.felt.slowdown.mean
            );
            assert_eq!(run.reservations.late, 0, "{trace} {queue}");
            assert_eq!(run.felt.completed, jobs.jobs.len() as u64);
            let waits = queue != Queue::Fifo && (faster > 1.0 || trace.contains("hpc2n"));
            assert!(!waits || run.reservations.jobs > 100, "{trace} {queue}: nobody waited");
        }
    }
}

//! The report page as a reader's browser gets it: well formed, self-contained, hostile names
//! harmless, and something sensible for every shape of input. Sample pages are left in
//! `target/tmp` for looking at.

use std::collections::BTreeMap;

use rampmeter_sim::report::{ClassTarget, Report, html, picture};
use rampmeter_sim::results::{Felt, Quantiles, ServingRun};
use scraper::{Html, Selector};

/// Made-up figures with the shape of real ones: waiting grows without bound near load 1.
fn felt(offered: u64, load: f64, patience: f64) -> Felt {
    let late = (load / patience).powi(12);
    let attainment = (1.0 / (1.0 + late)).min(0.999);
    let wait = 0.25 + 1.6 * late.min(60.0);
    let spread = |scale: f64| Quantiles {
        p50: wait * scale * 0.2,
        p90: wait * scale * 0.6,
        p99: wait * scale,
        mean: wait * scale * 0.3,
        max: wait * scale * 2.0,
    };
    Felt {
        offered,
        completed: offered,
        refused: 0,
        shed: 0,
        expired: 0,
        attainment,
        goodput_per_s: offered as f64 * attainment / 540.0,
        apdex: attainment * 0.9 + 0.05,
        ttft_s: spread(1.0),
        tpot_s: Quantiles {
            p50: 0.02,
            p90: 0.03,
            p99: 0.02 + 0.03 * load / patience,
            mean: 0.02,
            max: 0.2,
        },
        queue_wait_s: spread(0.9),
        e2e_s: spread(3.0),
        slowdown: spread(1.0),
    }
}

fn run(policy: &str, load: Option<f64>, patience: f64) -> ServingRun {
    let x = load.unwrap_or(0.8);
    let offered = (3000.0 * x) as u64;
    let mut accounts = BTreeMap::new();
    for index in 0..8_u64 {
        let (share, patience) = if index == 3 { (5, patience * 0.85) } else { (1, patience) };
        accounts.insert(format!("tenant-{index}"), felt(offered / 12 * share, x, patience));
    }
    let classes = BTreeMap::from([
        ("interactive".to_owned(), felt(offered * 83 / 100, x, patience)),
        ("batch".to_owned(), felt(offered * 17 / 100, x, 1.9 - 0.9 * patience)),
    ]);
    ServingRun {
        policy: policy.to_owned(),
        variant: policy.to_owned(),
        gate: "none".to_owned(),
        router: "none".to_owned(),
        load,
        offered,
        completed: offered,
        refused: 0,
        shed: 0,
        expired: 0,
        elapsed_s: 540.0 / x,
        steps: 20_000,
        tokens_per_s: 5200.0 * x.min(1.0),
        prefix_hit_rate: 0.0,
        replica_load_max_over_mean: 1.0,
        utilization: 1.0 - (-3.2 * x * x).exp() * 0.9,
        preemptions: (x * 10.0) as u64,
        jain: 0.97,
        service_difference_max: 40_000.0 / patience,
        service_difference_mean: 9_000.0 / patience,
        classes,
        accounts,
        ..ServingRun::default()
    }
}

const POLICIES: [(&str, f64); 10] = [
    ("fcfs", 0.9),
    ("priority", 0.97),
    ("sarathi+chunk=512", 0.94),
    ("vtc", 0.91),
    ("past-future", 0.88),
    ("priority+chunk=384+triage", 1.22),
    ("rampmeter", 1.25),
    ("fcfs+triage", 1.0),
    ("vtc+triage", 1.02),
    ("sarathi+chunk=256+triage", 1.05),
];

fn report(policies: usize, loads: &[Option<f64>]) -> Report {
    let class = |name: &str, ttft_s, tpot_s| ClassTarget { name: name.to_owned(), ttft_s, tpot_s };
    let runs = POLICIES[..policies]
        .iter()
        .flat_map(|(policy, patience)| loads.iter().map(|load| run(policy, *load, *patience)));
    Report {
        command: "rampmeter highway --seed 42 --report highway.html".to_owned(),
        engine: "llama-3.1-8b, RTX PRO 6000, tensor parallelism 1".to_owned(),
        engine_source: "made up for a test".to_owned(),
        workload: "generated chat traffic, 9 minutes".to_owned(),
        seed: 42,
        seeds: 1,
        classes: vec![class("interactive", 2.0, 0.05), class("batch", 60.0, 0.2)],
        attainment_min_ratio: 0.95,
        runs: runs.collect(),
    }
}

const LOADS: [Option<f64>; 7] =
    [Some(0.5), Some(0.6), Some(0.7), Some(0.8), Some(0.9), Some(1.0), Some(1.2)];

/// Parses the page as a browser does and fails on anything that the parser had to mend.
fn parsed(page: &str) -> Html {
    let document = Html::parse_document(page);
    assert_eq!(document.errors, Vec::<String>::new());
    document
}

fn count(document: &Html, selector: &str) -> usize {
    document.select(&Selector::parse(selector).unwrap()).count()
}

fn keep(name: &str, text: &str) {
    std::fs::write(format!("{}/{name}", env!("CARGO_TARGET_TMPDIR")), text).unwrap();
}

#[test]
fn every_shape_of_input_gives_a_sound_page() {
    let mut served_nobody = report(2, &LOADS[5..]);
    for run in &mut served_nobody.runs[..2] {
        run.completed = 0;
        for felt in run.classes.values_mut().chain(run.accounts.values_mut()) {
            *felt = Felt { offered: felt.offered, ..Felt::default() };
        }
    }
    let mut extreme = report(2, &LOADS);
    for (run, value) in extreme.runs.iter_mut().zip([0.0, 1e300, -1e300, f64::NAN, f64::INFINITY]) {
        run.utilization = value;
        run.tokens_per_s = value;
        run.load = Some(value);
        for felt in run.classes.values_mut() {
            felt.attainment = value;
            felt.ttft_s.p99 = value;
            felt.goodput_per_s = value;
        }
    }
    let mut no_classes = report(3, &LOADS);
    no_classes.classes.clear();
    for run in &mut no_classes.runs {
        run.classes.clear();
        run.accounts.clear();
    }
    for (name, report) in [
        ("seven", report(7, &LOADS)),
        ("ten", report(10, &LOADS)),
        ("two", report(2, &LOADS)),
        ("one", report(1, &[Some(0.9)])),
        ("recorded", report(3, &[None])),
        ("recorded-one", report(1, &[None])),
        ("empty", report(0, &[])),
        ("served-nobody", served_nobody),
        ("extreme", extreme),
        ("no-classes", no_classes),
    ] {
        let page = html(&report);
        keep(&format!("report-{name}.html"), &page);
        let document = parsed(&page);
        assert_eq!(count(&document, "h1"), 1, "{name}");
        for run in &report.runs {
            assert!(page.contains(&run.policy), "{name}: {}", run.policy);
        }
        let rows = count(&document, "table.figures tbody tr");
        assert_eq!(rows, report.runs.len(), "{name}: every run is in the table");
        assert!(!page.contains("NaN") && !page.contains("inf "), "{name}");
        assert_eq!(page, html(&report), "{name}: the same report gives the same bytes");
        let picture = picture(&report);
        keep(&format!("picture-{name}.svg"), &picture);
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>"), "{name}");
    }
}

#[test]
fn the_page_asks_nobody_for_anything() {
    let page = html(&report(7, &LOADS));
    let document = parsed(&page);
    assert_eq!(count(&document, "script, link, img, iframe, [src], [href]"), 0);
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!outside.contains("http") && !outside.contains("url(") && !outside.contains("@import"));
}

#[test]
fn plots_have_titles_and_words_for_those_who_cannot_see_them() {
    let document = parsed(&html(&report(7, &LOADS)));
    let charts = document.select(&Selector::parse("figure svg.chart").unwrap()).count();
    let told = "figure svg.chart[role=img][aria-label*=' against '][aria-label*='fcfs, load']";
    assert_eq!(charts, count(&document, told));
    assert_eq!(charts, count(&document, "figure figcaption"));
    assert!(charts >= 8, "{charts}");
    // 7 policies, 7 loads: a mark for each run on the curve that leads.
    let first = document.select(&Selector::parse("svg.chart").unwrap()).next().unwrap();
    assert_eq!(first.select(&Selector::parse("path.mark title").unwrap()).count(), 49);
}

#[test]
fn policies_that_did_the_same_are_named_and_so_is_fairness_within_a_class() {
    let mut report = report(2, &[Some(0.5), Some(1.0)]);
    let text = |report: &Report| parsed(&html(report)).root_element().text().collect::<String>();
    assert!(!text(&report).contains("share one line"));
    let twins: Vec<ServingRun> =
        report.runs.iter().filter(|r| r.policy == "fcfs").cloned().collect();
    for mut twin in twins {
        "twin".clone_into(&mut twin.policy);
        let within = BTreeMap::from([("interactive".to_owned(), 71_234.0)]);
        twin.class_service_difference_max = within;
        report.runs.push(twin);
    }
    let page = text(&report);
    assert!(page.contains("share one line in the plots: twin lies on fcfs."), "{page}");
    // Once above the accounts of the policy, and once a run in the table of all figures.
    assert_eq!(page.matches("71\u{202f}234").count(), 3, "{page}");
}

#[test]
fn names_from_files_cannot_become_markup() {
    let nasty = "<script>alert(1)</script>\"'&</svg></style><img src=x>";
    let mut report = report(2, &LOADS);
    let plain = parsed(&html(&report));
    report.command = nasty.to_owned();
    report.engine = nasty.to_owned();
    report.engine_source = nasty.to_owned();
    report.workload = nasty.to_owned();
    report.classes[0].name = nasty.to_owned();
    for run in &mut report.runs {
        if run.policy == "fcfs" {
            run.policy = nasty.to_owned();
        }
        for map in [&mut run.classes, &mut run.accounts] {
            if let Some(felt) = map.remove("interactive").or_else(|| map.remove("tenant-3")) {
                map.insert(nasty.to_owned(), felt);
            }
        }
    }
    let page = html(&report);
    let document = parsed(&page);
    for selector in ["script", "img", "svg", "style", "tr", "section"] {
        assert_eq!(count(&document, selector), count(&plain, selector), "{selector}");
    }
    let text: String = document.root_element().text().collect();
    assert!(text.contains(nasty), "and it is still readable");
    assert!(!picture(&report).contains("<script"));
}

#[test]
fn the_headline_is_read_out_of_the_runs() {
    let heading = |report: &Report| {
        let document = parsed(&html(report));
        let text = |selector: &str| {
            let element = document.select(&Selector::parse(selector).unwrap()).next().unwrap();
            element.text().collect::<String>()
        };
        (text("h1"), text(".lead"))
    };
    let mut different = report(2, &[Some(1.0)]);
    for (run, (met, wait)) in different.runs.iter_mut().zip([(0.239, 61.4), (0.891, 1.94)]) {
        run.utilization = 0.991;
        let felt = run.classes.get_mut("interactive").unwrap();
        (felt.attainment, felt.ttft_s.p99) = (met, wait);
    }
    let (title, lead) = heading(&different);
    assert!(title.contains("Equally busy"), "{title}");
    for part in ["load 1 ", "99.1%", "23.9% with fcfs", "89.1% with priority", "61.4 s", "1.94 s"] {
        assert!(lead.contains(part), "{part}: {lead}");
    }
    assert!(lead.contains("utilization is the wrong goal"), "{lead}");

    // The same attainment everywhere: nothing of the kind may be claimed.
    let mut alike = different.clone();
    for run in &mut alike.runs {
        run.classes.get_mut("interactive").unwrap().attainment = 0.97;
    }
    // Far apart in utilization: neither.
    let mut busier = different;
    busier.runs[0].utilization = 0.4;
    for report in [alike, busier] {
        let (title, lead) = heading(&report);
        assert!(!title.contains("Equally") && !lead.contains("wrong goal"), "{title} {lead}");
    }
}

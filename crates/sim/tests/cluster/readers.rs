//! Readers of jobs: what they make of a file, and what they say about a wrong one.

use std::fs;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use rampmeter::Nanos;
use rampmeter::fleet::DeviceDemand;
use rampmeter_sim::InputError;
use rampmeter_sim::cluster::{Format, JobList, NodeList, ReadOptions, Spec};

use crate::support::shared_jobs;

const EIGHT: ReadOptions = ReadOptions { devices_per_node: 8 };

fn read(text: impl AsRef<[u8]>, given: Option<Format>) -> Result<JobList, InputError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.txt");
    fs::write(&path, text).unwrap();
    Spec { path, given }.read(EIGHT, &mut NodeList::default())
}

/// The sentence has all of these in it.
#[track_caller]
fn refused(text: impl AsRef<[u8]>, given: Option<Format>, parts: &[&str]) {
    let said = read(text, given).unwrap_err().to_string();
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    assert_eq!(said.lines().count(), 1);
}

/// Arrival and duration in seconds, members, devices of each.
fn shapes(jobs: &JobList) -> Vec<(f64, f64, u32, u32)> {
    let shape = |job: &rampmeter_sim::cluster::Job| {
        let each = job.member.devices.devices();
        (job.arrival.as_seconds(), job.duration.as_seconds(), job.members, each)
    };
    jobs.jobs.iter().map(shape).collect()
}

const PHILLY: &str = "timestamp,duration,num_gpus,gpu_time,cluster\n\
                      2017-10-09 06:13:03,2951.0,1,2951.0,b\n\
                      2017-10-09 06:12:03,60.5,16,968.0,a\n";

const SWF: &str = "; UnixStartTime: 0\n\
    1 10 5 100 4 -1 -1 4 300 -1 1 7 1 -1 1 -1 -1 -1\n\
    2 0 5 100 -1 -1 -1 12 50 -1 1 -1 1 -1 1 -1 -1 -1\n\
    3 20 5 -1 4 -1 -1 4 300 -1 0 7 1 -1 1 -1 -1 -1\n";

#[test]
fn each_format_is_recognised_and_read() {
    let philly = read(PHILLY, None).unwrap();
    assert_eq!(shapes(&philly), [(0.0, 60.5, 2, 8), (60.0, 2951.0, 1, 1)]);
    assert_eq!(philly.accounts, ["b", "a"]);
    assert_eq!(philly.jobs[0].account, 1);

    let muri = "job_id,num_gpu,submit_time,iterations,duration\n0,12,1500,9,2000\n";
    assert_eq!(shapes(&read(muri, None).unwrap()), [(1.5, 2.0, 3, 4)]);

    let swf = read(SWF, None).unwrap();
    assert_eq!(shapes(&swf), [(0.0, 100.0, 3, 4), (10.0, 100.0, 1, 4)]);
    assert_eq!(swf.skipped, 1);
    assert_eq!(swf.accounts, ["user-7", "default"]);
    let estimates: Vec<f64> = swf.jobs.iter().map(|job| job.estimate.as_seconds()).collect();
    assert_eq!(estimates, [100.0, 300.0], "never below the run time");

    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(SWF.as_bytes()).unwrap();
    assert_eq!(read(packed.finish().unwrap(), None).unwrap(), swf);
}

#[test]
fn own_columns() {
    let text = "account,gpus,arrival_s,duration_s,members,gpu_milli,cpu_milli,memory_mib,estimate_s\n\
                ann,2,0,10,3,500,4000,8192,20\n\
                ,16,0.5,1,,,,,\n\
                ann,0,1,1,,,250,,\n";
    let jobs = read(text, None).unwrap();
    assert_eq!(shapes(&jobs), [(0.0, 10.0, 3, 2), (0.5, 1.0, 2, 8), (1.0, 1.0, 1, 0)]);
    let first = &jobs.jobs[0];
    let share = DeviceDemand::Share { count: 2, milli: 500, memory_mib: 0 };
    assert_eq!((first.member.devices, first.member.cpu_milli), (share, 4000));
    assert_eq!((first.member.memory_mib, first.estimate), (8192, Nanos::from_seconds(20.0)));
    assert_eq!(jobs.accounts, ["ann", "default"]);
    assert_eq!(jobs.jobs[2].member.cpu_milli, 250);
}

#[test]
fn what_is_wrong_is_named() {
    let philly = |row: &str| format!("timestamp,duration,num_gpus,cluster\n{row}\n");
    let case = Some(Format::Philly);
    refused(philly("yesterday,1,1,a"), case, &["jobs.txt:2", "`timestamp`", "`yesterday`"]);
    refused(philly("2017-10-09 06:13:03,-1,1,a"), case, &[":2", "`duration`", "`-1`"]);
    refused(philly("2017-10-09 06:13:03,1,0,a"), case, &[":2", "`num_gpus`", "1..=65536"]);
    refused(
        philly("1917-10-09 06:13:03,1,1,a\n2017-10-09 06:13:03,1,1,a"),
        case,
        &[":3", "`timestamp`", "32 years"],
    );
    refused("timestamp,duration\n", case, &[":1", "`num_gpus`", "no such column"]);

    let muri = |row: &str| format!("num_gpu,submit_time,duration\n{row}\n");
    refused(muri("1,1.5,1"), None, &[":2", "`submit_time`", "milliseconds"]);
    refused(muri("x,1,1"), None, &[":2", "`num_gpu`", "`x`"]);
    refused(muri(""), None, &["holds no job"]);

    let swf = |row: &str| format!("; a log\n{row}\n");
    refused(swf("1 2 3"), None, &[":2", "3 fields where 18"]);
    let line = |submit: &str, run: &str, processors: &str| {
        swf(&format!("1 {submit} 5 {run} {processors} -1 -1 -1 -1 -1 1 7 1 -1 1 -1 -1 -1"))
    };
    refused(line("x", "1", "1"), None, &[":2", "`submit time`", "`x`"]);
    refused(line("1", "nan", "1"), None, &[":2", "`run time`"]);
    refused(line("1", "1", "1.5"), None, &[":2", "`allocated processors`", "whole number"]);
    refused(line("1", "1", "99999"), None, &["0..=65536"]);
    refused(line("1", "-1", "1"), None, &["holds no job"]);

    let own = |row: &str| format!("arrival_s,duration_s,gpus,estimate_s,members\n{row}\n");
    refused(own("1,1,1,0.5,"), None, &[":2", "`estimate_s`", "at least the duration, 1 s"]);
    refused(own("1,1,17,1,1"), None, &[":2", "`gpus`", "0..=16"]);
    refused(own("1,1,1,1,0"), None, &[":2", "`members`", "1..=65536"]);
    refused(own("2,1,1,1,1\n1,1,1,1,1"), None, &[":3", "`arrival_s`", "in order"]);
    refused(own("1e10,1,1,1,1"), None, &["`arrival_s`", "0..=1000000000"]);
    let misspelt = "arrival_s,duration_s,gpus,acount\n1,1,1,a\n";
    refused(misspelt, None, &[":1", "did you mean `account`?"]);

    refused("", None, &["is empty"]);
    refused("a,b,c\n", None, &["none of the formats", "philly, muri, swf, openb, csv"]);
    refused([0x1f, 0x8b, 8, 0, 1, 2, 3], Some(Format::Swf), &["cannot be read"]);
}

#[test]
fn formats_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.csv");
    fs::write(&path, PHILLY).unwrap();
    let text = path.display().to_string();
    assert_eq!(Spec::parse(&format!("{text}:philly")).unwrap().given, Some(Format::Philly));
    assert_eq!(Spec::parse(&text).unwrap().format().unwrap(), Format::Philly);
    let said = Spec::parse(&format!("{text}:phily")).unwrap_err().to_string();
    assert!(said.contains("did you mean `philly`?"), "{said}");
}

#[test]
fn public_traces() {
    let Some(philly) = shared_jobs("philly/philly_vc_dev.csv", 8) else { return };
    assert_eq!((philly.jobs.len(), philly.accounts.len()), (55_240, 10));
    let Some(muri) = shared_jobs("muri/trace1.csv", 8) else { return };
    assert_eq!(muri.jobs.len(), 1_494);
    assert_eq!(muri.jobs.iter().filter(|job| job.members == 4).count(), 25);
    let Some(hpc2n) = shared_jobs("swf/hpc2n.swf", 1) else { return };
    assert_eq!((hpc2n.jobs.len(), hpc2n.skipped), (3_145, 25));
    let Some(nasa) = shared_jobs("swf/NASA-iPSC-1993-3.1-cln.swf.gz", 1) else { return };
    assert_eq!((nasa.jobs.len(), nasa.skipped), (18_239, 0));
}

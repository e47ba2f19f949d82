//! `share`: tables, figures and reasons for trees in every format, and files that are wrong.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use rampmeter_cli::{EXIT_RAN, EXIT_USAGE, run};
use serde_json::Value;

/// Exit code, standard output, standard error.
fn share(tree: &Path, more: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let tree = tree.display().to_string();
    let args = [&["rampmeter", "share", "--tree", &tree], more].concat();
    let code = run(args, &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[track_caller]
fn printed(tree: &Path, more: &[&str]) -> String {
    let (code, out, err) = share(tree, more);
    assert_eq!((code, err.as_str()), (EXIT_RAN, ""), "{more:?}");
    out
}

#[track_caller]
fn figures(tree: &Path, more: &[&str]) -> Value {
    serde_json::from_str(&printed(tree, &[more, &["--json", "-"]].concat())).unwrap()
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/share/cluster.toml")
}

/// A file of this name with this in it.
fn with_file<T>(name: &str, content: impl AsRef<[u8]>, check: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    check(&path)
}

/// Refused with one sentence that has the file and all of these in it, and no output.
#[track_caller]
fn refused(name: &str, content: impl AsRef<[u8]>, parts: &[&str]) {
    let (code, out, err) = with_file(name, content, |path| share(path, &[]));
    assert_eq!((code, out.as_str()), (EXIT_USAGE, ""), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    for part in [&[name], parts].concat() {
        assert!(err.contains(part), "{part} not in {err}");
    }
}

const SMALL: &str = r#"
capacity = { gpu_milli = 10000 }
[[account]]
name = "a"
weight = 3
[[account]]
name = "b"
[[account]]
name = "ann"
parent = "a"
usage = 30
asked = { gpu_milli = 9000 }
[[account]]
name = "bob"
parent = "b"
usage = 10
held = { gpu_milli = 4000 }
"#;

#[test]
fn a_small_tree_is_this_table() {
    let out = with_file("small.toml", SMALL, |path| printed(path, &[]));
    let expected = "\
Fair Tree; users 2; usage 40
────────────────────────────────────────────────────────────────────────────────
 account   shares   norm shares   usage   effective   LevelFS     factor   rank
────────────────────────────────────────────────────────────────────────────────
 a              3      0.750000      30    0.750000         1
   ann          1      1.000000      30    1.000000         1   1.000000      1
 b              1      0.250000      10    0.250000         1
   bob          1      1.000000      10    1.000000         1   1.000000      1
────────────────────────────────────────────────────────────────────────────────

gpu_milli, 10000 in all
──────────────────────────────────────────────────
 account   held   asked   over quota   fair share
──────────────────────────────────────────────────
 a            0    9000         6000         6000
   ann        0    9000         6000         6000
 b         4000       0         4000         4000
   bob     4000       0         4000         4000
──────────────────────────────────────────────────

All resources
──────────────────────────────────────────────────────────────────────
 account   dominant share          of   borrowed permille          of
──────────────────────────────────────────────────────────────────────
 a                                                      0
   ann                                                  0
 b                    0.4   gpu_milli                 400   gpu_milli
   bob                0.4   gpu_milli                 400   gpu_milli
──────────────────────────────────────────────────────────────────────
";
    assert_eq!(out, expected);
    let tied = with_file("small.toml", SMALL, |path| figures(path, &[]));
    for at in [0, 2] {
        let row = &tied["accounts"][at];
        assert_eq!((&row["level_rank"], &row["level_members"]), (&1.into(), &2.into()), "{row}");
    }
}

#[test]
fn the_example_is_explained_and_has_its_figures() {
    let found = figures(&example(), &[]);
    assert_eq!((&found["schema"], &found["ranking"]), (&1.into(), &"fair_tree".into()));
    let rows = found["accounts"].as_array().unwrap();
    let paths: Vec<_> = rows.iter().map(|row| row["path"].as_str().unwrap()).collect();
    let expected =
        ["physics", "physics/ann", "physics/bob", "biology", "biology/carl", "biology/dora"];
    assert_eq!(paths, expected);
    let shares = |at: usize| rows[at]["resources"]["gpu_milli"]["fair_share"].as_u64().unwrap();
    assert!(shares(0) + shares(3) <= 64_000);
    for row in rows {
        for key in ["level", "shares_norm", "usage", "level_fs", "dominant_share"] {
            assert!(!row[key].is_null(), "{key} of {row}");
        }
        let gpu = &row["resources"]["gpu_milli"];
        let part = |key: &str| gpu[key].as_u64().unwrap();
        let sum = part("fair_share_of_quota") + part("fair_share_over_quota");
        assert_eq!(sum, part("fair_share"), "{row}");
    }
    assert_eq!(rows[5]["level_fs"], "inf");
    assert_eq!(rows[1]["resources"]["gpu_milli"]["limit"], "unlimited");
    let text = printed(&example(), &["--account", "biology/carl"]);
    let carl = &rows[4];
    let rank = format!("biology/carl: rank {} of 4", carl["rank"]);
    for part in [
        rank.as_str(),
        "level 1: biology\n",
        "1 of 4 shares = 0.25",
        "500000 of 1700000",
        "priority 0",
    ] {
        assert!(text.contains(part), "{part} not in {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let way = figures(&example(), &["--account", "biology/carl"]);
    assert_eq!(way["accounts"], Value::Array(vec![rows[3].clone(), carl.clone()]));
    let classic = figures(&example(), &["--ranking", "classic", "--damping", "2"]);
    assert_eq!((&classic["ranking"], &classic["damping"]), (&"classic".into(), &2.0.into()));
    assert!(classic["accounts"][0]["factor"].is_f64());
}

#[test]
fn what_limits_a_share_is_said() {
    let document = r#"
        capacity = { gpu_milli = 10 }
        account = [
            { name = "a", quota = { gpu_milli = 4 } },
            { name = "cut", parent = "a", quota = { gpu_milli = 8 }, asked = { gpu_milli = 9 } },
            { name = "b" },
            { name = "limited", parent = "b", limit = { gpu_milli = 2 }, asked = { gpu_milli = 9 } },
            { name = "c", asked = { gpu_milli = 90 } },
            { name = "d", asked = { gpu_milli = 1 } },
            { name = "e", over_quota_weight = 0, asked = { gpu_milli = 1 } },
        ]"#;
    with_file("tree.toml", document, |path| {
        for (account, reason) in [
            ("a/cut", "its quota guarantees 8"),
            ("b/limited", "its limit is 2"),
            ("c", "more is with its siblings"),
            ("d", "that is all it wants"),
            ("e", "its over-quota weight is 0"),
        ] {
            let text = printed(path, &["--account", account]);
            assert!(text.contains(reason), "{account}: {text}");
        }
        assert!(printed(path, &["--account", "b/limited"]).contains("limits below it"));
        let cut = &figures(path, &[])["accounts"][1]["resources"]["gpu_milli"];
        assert_eq!((&cut["guaranteed"], &cut["fair_share_over_quota"]), (&8.into(), &0.into()));
        assert_eq!(cut["fair_share_of_quota"], cut["fair_share"]);
    });
}

#[test]
fn a_plain_policy_document_is_a_tree() {
    let teams = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/accounts/teams.toml");
    assert!(printed(&teams, &[]).contains("users 8"));
    let many: Vec<_> = (0..3_000).map(|at| format!("[[account]]\nname = \"u{at}\"\n")).collect();
    let many = many.concat();
    assert!(with_file("many.toml", many, |path| printed(path, &[])).contains("users 3000"));
}

const HEADER: &str = "Account|User|RawShares|NormShares|RawUsage|NormUsage|EffectvUsage|FairShare|\
                      LevelFS|GrpTRESMins|TRESRunMins\n";

#[test]
fn what_sshare_prints_is_read() {
    let table = format!(
        "{HEADER}root|||0.000000|100||1.000000||||\n\
         \x20root|root|1|0.25|0|0|0|1.0|inf||\n\
         \x20chem||3|0.75|100|1|1||0.75||\n\
         \x20 chem|ann|1|0.5|40|0.4|0.4|0.6|1.25||\n\
         \x20 chem|bob|parent|0.5|60|0.6|0.6|0.3|0.8||\n"
    );
    with_file("now.txt", &table, |path| {
        let found = figures(path, &[]);
        let row = |at: usize| found["accounts"][at].clone();
        assert_eq!((&row(1)["path"], &row(1)["usage"]), (&"chem".into(), &100.0.into()));
        assert_eq!((&row(3)["path"], &row(3)["shares"]), (&"chem/bob".into(), &"parent".into()));
        assert_eq!((&row(2)["user"], &row(2)["level_fs"]), (&"ann".into(), &2.5.into()));
        assert_eq!(found["users"], 3);
    });
    let part = table.replace("root|||0.000000|100||1.000000||||\n root", "root");
    let part = part.replace("\n chem||3|0.75|100|", "\nchem||3|0.75|105|").replace("\n  ", "\n ");
    let found = with_file("part.txt", &part, |path| figures(path, &[]));
    assert_eq!(found["accounts"][1]["usage"], 105.0, "5 of a user that is gone");
}

#[test]
fn wrong_documents_are_refused() {
    let account = |keys: &str| format!("[[account]]\nname = \"a\"\n{keys}\n");
    refused("empty.toml", "", &["is empty"]);
    refused("none.toml", "[limits]\n", &["no account"]);
    refused("bad.toml", "[[account]]\nname = \n", &["bad.toml:2", "TOML"]);
    refused("bad.json", "{\"account\": [}", &["bad.json:1", "JSON"]);
    refused("list.json", "[1]", &["is not a table"]);
    refused("bytes.toml", b"name = \"\xff\"", &["is not UTF-8 text after 8 bytes"]);
    refused("x.toml", account("wieght = 1"), &["`account[0].wieght`", "`account[0].weight`"]);
    refused("x.toml", "capcity = {}\n[[account]]\nname = \"a\"", &["`capcity`"]);
    refused("x.toml", account("parent = \"b\""), &["account[0].parent"]);
    refused("x.toml", account("parent = \"a\""), &["account[0].parent"]);
    refused("x.toml", account("[[account]]\nname = \"a\""), &["account[1].name", "repeats"]);
    refused("x.toml", "[[account]]\nname = \"a/b\"\n", &["account[0].name", "parts the names"]);
    for bad in ["nan", "inf", "-1", "1e17", "\"x\"", "[1]", "true", "{}", "2020-01-01"] {
        refused("x.toml", account(&format!("usage = {bad}")), &["account[0].usage", "0..="]);
        refused("x.toml", account(&format!("shares = {bad}")), &["account[0].shares", "0.001..="]);
        let of_gpus = format!("held = {{ gpu_milli = {bad} }}");
        let parts = ["account[0].held.gpu_milli", "0..=4611686018427387904"];
        if bad != "1e17" {
            refused("x.toml", account(&of_gpus), &parts);
        }
        refused("x.toml", format!("damping = {bad}\n{}", account("")), &["damping", "1..=65535"]);
    }
    refused("x.toml", account("held = { gpus = 1 }"), &["account[0].held.gpus", "gpu_milli"]);
    refused("x.toml", account("asked = 3"), &["account[0].asked", "a table"]);
    refused("x.toml", account("asked = { gpu_milli = 3 }"), &["asked.gpu_milli", "capacity"]);
    let deep: String = (0..9)
        .map(|at| match at {
            0 => "[[account]]\nname = \"0\"\n".to_owned(),
            at => format!("[[account]]\nname = \"{at}\"\nparent = \"{}\"\n", at - 1),
        })
        .collect();
    refused("deep.toml", deep, &["account[8]", "8"]);
}

#[test]
fn wrong_tables_and_associations_are_refused() {
    let row = |id: u64, parent: u64, more: &str| {
        format!("{{\"id\":{id},\"parent\":{parent},\"acct\":\"a{id}\",\"user\":\"\",{more}}}")
    };
    let usual = "\"shares\":1,\"usage\":1";
    let tree = |rows: &[String]| format!("{{\"associations\":[{}]}}", rows.join(","));
    let root = row(1, 0, usual);
    refused("x.json", "{\"associations\": 3}", &["associations", "list"]);
    refused("x.json", tree(std::slice::from_ref(&root)), &["no account"]);
    let circle = tree(&[root.clone(), row(2, 3, usual), row(3, 2, usual)]);
    refused("x.json", circle, &["associations[1].parent", "circle"]);
    refused("x.json", tree(&[root.clone(), row(2, 7, usual)]), &["associations[1].parent", "7"]);
    refused("x.json", tree(&[root.clone(), row(2, 0, usual)]), &["associations[1].parent", "root"]);
    let twice = tree(&[root.clone(), row(2, 1, usual), row(2, 1, usual)]);
    refused("x.json", twice, &["associations[2].id", "two accounts"]);
    for (more, key) in [
        ("\"shares\":-1,\"usage\":1", "shares"),
        ("\"shares\":\"all\",\"usage\":1", "shares"),
        ("\"shares\":1,\"usage\":-1", "usage"),
        ("\"shares\":1,\"usage\":1e300", "usage"),
        ("\"shares\":1", "usage"),
    ] {
        refused("x.json", tree(&[root.clone(), row(2, 1, more)]), &["associations[1]", key]);
    }
    let line = |text: &str| format!("{HEADER}root|||0|0||1||||\n{text}\n");
    refused("x.txt", "root|||0|0||1\n a|u|1|1|0|0|0\n", &["`Account`", "sshare -al"]);
    refused("x.txt", HEADER, &["no account"]);
    refused("x.txt", line("   a||1|1|0|0|0|1|1||"), &["x.txt:3", "Account", "3 spaces"]);
    refused("x.txt", line(" a||-1|1|0|0|0|1|1||"), &["x.txt:3", "RawShares", "-1"]);
    refused("x.txt", line(" a||1|1|NaN|0|0|1|1||"), &["x.txt:3", "RawUsage", "NaN"]);
    refused("x.txt", line(" a|u|1|1|0|0|0|1|1||\n  b||1|1|0|||||"), &["x.txt:4", "below a user"]);
    refused("x.txt", line(" a||1|1|0|||||\n a||1|1|0|||||"), &["x.txt:4", "stands twice"]);
    let (code, _, err) = share(&example(), &["--account", "ann"]);
    assert_eq!(code, EXIT_USAGE);
    assert!(err.contains("--account") && err.contains("physics/ann"), "{err}");
    for wrong in [&["--damping", "0"][..], &["--damping", "2"], &["--ranking", "fair"]] {
        let (code, out, err) = share(&example(), wrong);
        assert_eq!((code, out.as_str(), err.lines().count()), (EXIT_USAGE, "", 1), "{err}");
    }
}

/// The figures of Slurm's own tests, to the six decimals that they have.
#[test]
fn files_of_slurm_have_their_factors() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("RAMPMETER_SHARED").map_or_else(beside, PathBuf::from);
    let Ok(files) = fs::read_dir(shared.join("vectors")) else {
        println!("no vectors: set RAMPMETER_SHARED to a folder that has `vectors`");
        return;
    };
    for path in files.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("slurm_") {
            continue;
        }
        let file: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let found = figures(&path, &[]);
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let rows: HashMap<_, _> = found["accounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| ((text(row, "account"), text(row, "user")), row))
            .collect();
        let expected = file["expected"].as_array().unwrap();
        for wanted in expected {
            let row = rows[&(text(wanted, "account"), text(wanted, "user"))];
            let factor = row["factor"].as_f64().unwrap();
            let error = (factor - wanted["factor"].as_f64().unwrap()).abs();
            assert!(error <= 0.51e-6, "{name}: {wanted} is {factor}");
        }
        println!("{name}: {} rows agree", expected.len());
    }
}
